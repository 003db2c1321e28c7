"""What is wrong with images before anything learns from them: copies, leaks, shortcuts, unreadable files."""

from __future__ import annotations

from nearkin.datacheck.check import Report, check_items, check_source
from nearkin.datacheck.findings import Finding
from nearkin.datacheck.look_alikes import Embed, backbone_before_training
from nearkin.datacheck.picture import suspects

__all__ = ["Embed", "Finding", "Report", "backbone_before_training", "check_items", "check_source", "suspects"]
