"""The report: one HTML file that holds all that a run has to show, and nothing from elsewhere."""

from __future__ import annotations

from nearkin.report.page import write_report

__all__ = ["write_report"]
