"""The table is what the library is, and what is in neither table nor exclusions is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses

from nearkin.components.losses.exclusions import ARGUMENTS, CLASSES, PLACES
from nearkin.components.losses.notes import EVERY_LOSS, NOTES
from nearkin.components.losses.part_notes import PARTS
from nearkin.components.losses.tables import tables
from nearkin.plugins import load_registries
from tests.components.losses import library


def test_the_committed_table_holds_what_trying_the_library_finds() -> None:
    found = library.facts()
    changed = {
        f"{kind} {name}": (tables()[kind].get(name), entry)
        for kind, entries in found.items()
        for name, entry in entries.items()
        if tables()[kind].get(name) != entry
    }
    assert not changed, "run `make losses`, and look at what changed"
    assert {kind: list(entries) for kind, entries in tables().items()} == {k: list(v) for k, v in found.items()}


def test_every_class_of_the_library_has_a_name_here_or_a_reason_why_not() -> None:
    offered = set(library.public_classes())
    named = {note.library for notes in (NOTES, *PARTS.values()) for note in notes.values()}
    new = sorted(offered - named - set(CLASSES))
    assert not new, f"describe {new} in the notes and run `make losses`, or exclude them with the reason"
    assert not (named | set(CLASSES)) - offered, "the library has no such class any more"
    assert not named & set(CLASSES)


@pytest.mark.parametrize("name", ["self_supervised", "vicreg", "cross_batch_memory", "InstanceLoss"])
def test_whoever_asks_for_a_loss_that_is_left_out_is_told_why(name: str) -> None:
    offered = load_registries(entry_points=False).loss
    assert offered.why_left_out(name) in CLASSES.values()
    assert not any(map(offered.why_left_out, NOTES))


def test_every_argument_of_every_class_is_explained_or_left_out_with_a_reason() -> None:
    for kind, notes in (("loss", NOTES), *PARTS.items()):
        for name, note in notes.items():
            entry = tables()[kind][name]
            assert set(note.arguments) | (set(entry.arguments) & set(EVERY_LOSS)) == set(entry.arguments), name
    assert all(reason for reason in [*CLASSES.values(), *ARGUMENTS.values(), *PLACES.values()])


def test_a_new_loss_of_the_library_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "BrandNewLoss", type("BrandNewLoss", (losses.ContrastiveLoss,), {}), raising=False)
    with pytest.raises(AssertionError, match="BrandNewLoss"):
        test_every_class_of_the_library_has_a_name_here_or_a_reason_why_not()


@pytest.mark.parametrize(
    ("name", "made"),
    [("InstanceLoss", losses.InstanceLoss), ("SmoothAPLoss", losses.SmoothAPLoss)],
)
def test_the_library_takes_the_order_of_a_batch_for_a_meaning(name: str, made: Any) -> None:
    """Why one is excluded, and the other is handed sorted batches: should this fail, the library was mended."""
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    vectors, labels = library.embeddings(0), library.LABELS
    assert float(made()(vectors, labels)) != pytest.approx(float(made()(vectors[order], labels[order])), rel=1e-3)
