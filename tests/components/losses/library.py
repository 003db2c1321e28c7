"""The facts of table.json, found by trying every part of pytorch-metric-learning; `make losses` writes them."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from torch import Tensor, nn

from nearkin.components.losses.entries import REQUIRED, Entry, Given, PartKind, Slot
from nearkin.components.losses.exclusions import ARGUMENTS, PLACES
from nearkin.components.losses.notes import NOTES, SIMILARITY_OF_ITS_OWN
from nearkin.components.losses.part_notes import PARTS
from nearkin.components.losses.tables import as_json
from nearkin.contracts import Pairs, StructureKind, Triplets

T = TypeVar("T")
CLASSES, PER_CLASS, DIMS, DRAWS = 4, 4, 8, 2
LABELS = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
MODULES = {
    "loss": losses,
    "distance": distances,
    "reducer": reducers,
    "regularizer": regularizers,
    "miner": miners,
}
GIVEN: Mapping[str, Given] = {
    "num_classes": "classes",
    "embedding_size": "embedding_dim",
    "descriptors_dim": "embedding_dim",
}
SLOTS: Mapping[str, PartKind] = {
    "distance": "distance",
    "reducer": "reducer",
    "embedding_regularizer": "regularizer",
    "weight_regularizer": "regularizer",
}
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "RankedListLoss": {"margin": 0.4, "Tn": 10.0},
    "ThresholdReducer": {"low": 0.01},
    "ClassWeightedReducer": {"weights": torch.tensor([1.0, 2.0, 3.0, 4.0])},
    "SparseCentersRegularizer": {"num_classes": CLASSES, "centers_per_class": 4},
}
"""Arguments without which a class cannot be made."""
OTHER_VALUES: Mapping[str, Any] = {"p": 3, "power": 3, "normalize_embeddings": False}
"""To see whether an argument of a distance may be set, and does something."""
SIZES: Mapping[Given, int] = {"classes": CLASSES, "embedding_dim": DIMS}


def embeddings(draw: int) -> Tensor:
    """(16, 8) vectors: all around in even draws, near each other in odd ones, so that every hinge is active in some."""
    rng = torch.Generator().manual_seed(draw)
    return torch.randn(len(LABELS), DIMS, generator=rng) + 2 * (draw % 2) * torch.randn(DIMS, generator=rng)


def class_of(kind: str, library: str) -> type[nn.Module]:
    """The library's class."""
    return cast(type[nn.Module], getattr(MODULES[kind], library))


def make(kind: str, library: str, **arguments: Any) -> nn.Module:
    """It, with what it needs from the surroundings; its weights follow one seed."""
    cls = class_of(kind, library)
    asked = signature(cls)
    given = {name: SIZES[of] for name, of in GIVEN.items() if asked.get(name) is REQUIRED}
    torch.default_generator.manual_seed(0)
    return cls(**{**given, **NEEDED.get(library, {}), **arguments})


def part(kind: PartKind, name: str, **arguments: Any) -> nn.Module:
    """A distance, reducer, regularizer or miner by its name in recipes."""
    return make(kind, PARTS[kind][name].library, **arguments)


@cache
def signature(cls: type) -> dict[str, Any]:
    """Every argument that it or a class above it names, with its default."""
    found: dict[str, Any] = {}
    for one in cls.__mro__:
        parameters = inspect.signature(one.__init__).parameters.values() if "__init__" in vars(one) else ()  # type: ignore[misc]
        for parameter in parameters:
            if parameter.name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                default = REQUIRED if parameter.default is parameter.empty else parameter.default
                found.setdefault(parameter.name, default)
    return found


def arguments_of(kind: str, library: str) -> dict[str, Any]:
    """Those that its constructor takes, parts and exclusions apart."""
    found = {}
    for name, default in signature(class_of(kind, library)).items():
        if name in ("args", "kwargs", *SLOTS, *ARGUMENTS) or (name in GIVEN and default is REQUIRED):
            continue
        given = NEEDED.get(library, {}).get(name, default)
        if outcome(partial(make, kind, library, **{name: given})) is not None:
            found[name] = default
    return found


def outcome(attempt: Callable[[], T]) -> T | None:
    """What it gives; `None` where it raises, whatever the library raises: the combination does not work."""
    try:
        return attempt()
    except Exception:
        return None


def value(loss: nn.Module, draw: int, structure: Any = None) -> tuple[float, Tensor]:
    """The loss and its gradient: a scalar, (16, 8); raises where either is not finite."""
    vectors = embeddings(draw).requires_grad_()
    torch.default_generator.manual_seed(draw)
    made = loss(vectors, LABELS, structure)
    assert made.ndim == 0 or made.numel() == 1
    gradient = torch.autograd.grad(made.sum(), vectors, allow_unused=True)[0]
    gradient = torch.zeros_like(vectors) if gradient is None else gradient
    assert torch.isfinite(made).all()
    assert torch.isfinite(gradient).all()
    return float(made.detach()), gradient


def values(library: str, structure: Any = None, *, draws: int = DRAWS, **arguments: Any) -> list[float]:
    """The loss over several draws, each time made anew: some remember what they saw."""
    return [value(make("loss", library, **arguments), draw, structure)[0] for draw in range(draws)]


def differ(some: list[float], others: list[float]) -> bool:
    """Whether any draw gives another value."""
    return any(abs(a - b) > 1e-5 * (1e-3 + abs(a)) for a, b in zip(some, others, strict=True))


# Structures -----------------------------------------------------------------------------------------------------------

_t = torch.tensor
STRUCTURES: Mapping[StructureKind, tuple[Any, ...]] = {
    "pairs": (
        Pairs(_t([0, 2, 4, 6]), _t([1, 3, 5, 7]), _t([8, 9, 10]), _t([12, 13, 14])),
        Pairs(_t([0, 2, 4, 6]), _t([3, 1, 7, 5]), _t([8, 9, 10]), _t([12, 13, 14])),
        Pairs(_t([0, 2, 4, 6]), _t([1, 3, 5, 7]), _t([8, 9, 10]), _t([14, 12, 13])),
    ),
    "triplets": (
        Triplets(_t([0, 2, 4, 6]), _t([1, 3, 5, 7]), _t([8, 9, 12, 13])),
        Triplets(_t([0, 2, 4, 6]), _t([3, 1, 7, 5]), _t([8, 9, 12, 13])),
        Triplets(_t([0, 2, 4, 6]), _t([1, 3, 5, 7]), _t([9, 8, 13, 12])),
    ),
}
"""One that shares no image between its pairs or triplets; the same with other positives; with other negatives."""


def takes(library: str) -> tuple[StructureKind, ...]:
    """The structures it uses as they are given: each image of them, no other, and who is with whom matters."""
    plain = outcome(partial(values, library))
    labels: tuple[StructureKind, ...] = ("labels",) if plain and any(plain) else ()
    return labels + tuple(kind for kind in STRUCTURES if _uses(library, *STRUCTURES[kind]))


def _uses(library: str, given: Any, other_positives: Any, other_negatives: Any) -> bool:
    plain = outcome(partial(values, library, given))
    if plain is None:
        return False
    moved = torch.zeros(len(LABELS), dtype=torch.bool)
    for draw in range(6):
        moved |= value(make("loss", library), draw, given)[1].abs().sum(dim=1) > 0
    named = torch.zeros(len(LABELS), dtype=torch.bool).index_fill_(0, torch.cat(given), True)
    apart = [differ(plain, values(library, other)) for other in (other_positives, other_negatives)]
    return torch.equal(moved, named) and all(apart)


# Parts inside parts ---------------------------------------------------------------------------------------------------


def distances_of(run: Callable[..., list[float]]) -> dict[str, tuple[str, ...]]:
    """Which distances work, and which of their arguments may be set; none where the distance has no effect."""
    found: dict[str, tuple[str, ...]] = {}
    seen: list[list[float]] = []
    for name, note in PARTS["distance"].items():
        plain = outcome(lambda name=name: run(distance=part("distance", name)))
        if plain is None:
            continue
        changed = {one: outcome(partial(_changed, run, name, one)) for one in note.arguments}
        found[name] = tuple(one for one, made in changed.items() if made is not None)
        seen += [plain, *(made for made in changed.values() if made is not None)]
    return found if any(differ(seen[0], other) for other in seen[1:]) else {}


def _changed(run: Callable[..., list[float]], name: str, argument: str) -> list[float]:
    return run(distance=part("distance", name, **{argument: OTHER_VALUES[argument]}))


def parts_of(
    kind: PartKind, key: str, run: Callable[..., list[float]], *, owner: str, **needed: Any
) -> tuple[str, ...]:
    """Which reducers or regularizers work; none where they have no effect."""
    asked = [name for name in PARTS[kind] if (owner, name) not in PLACES and (key, name) not in PLACES]
    made = {name: outcome(lambda name=name: run(**{key: part(kind, name, **needed.get(name, {}))})) for name in asked}
    found = {name: seen for name, seen in made.items() if seen is not None}
    several = list(found.values())
    return tuple(found) if kind == "regularizer" or any(differ(several[0], other) for other in several[1:]) else ()


def default_of(kind: PartKind, made: nn.Module | None) -> dict[str, Any] | None:
    """A part that the library made, as a recipe would name it."""
    if made is None:
        return None
    if isinstance(made, reducers.MultipleReducers):
        made = cast(nn.Module, next(iter(made.reducers.values())))
    (name,) = (name for name, note in PARTS[kind].items() if note.library == type(made).__name__)
    arguments = PARTS[kind][name].arguments
    return {"type": name, **{argument: getattr(made, argument) for argument in arguments}}


# Entries --------------------------------------------------------------------------------------------------------------


def loss_entry(name: str) -> Entry:
    """One loss, tried out."""
    library = NOTES[name].library
    plain = make("loss", library)

    def run(**arguments: Any) -> list[float]:
        if isinstance(arguments.get("reducer"), reducers.ClassWeightedReducer):
            _refuse_matrices(library)
        return values(library, draws=1, **arguments)

    slots = {"distance": Slot("distance", distances_of(run), default_of("distance", plain.distance))}
    if name in SIMILARITY_OF_ITS_OWN:
        own = part("distance", SIMILARITY_OF_ITS_OWN[name])
        slots["distance"] = Slot("distance", {}, default_of("distance", own))
    arguments = arguments_of("loss", library)
    centers = {"centers_per_class": arguments.get("centers_per_class", arguments.get("sub_centers", 1))}
    for key in ("reducer", "embedding_regularizer", "weight_regularizer"):
        accepted = parts_of(SLOTS[key], key, run, owner=name, sparse_centers=centers)
        default = default_of("reducer", plain.reducer) if key == "reducer" else None
        if accepted:
            slots[key] = Slot(SLOTS[key], dict.fromkeys(accepted), default)
    asked = signature(type(plain))
    return Entry(
        library,
        arguments,
        {argument: of for argument, of in GIVEN.items() if asked.get(argument) is REQUIRED},
        slots,
        takes(library),
        mines(library),
        library in losses.CrossBatchMemory.supported_losses(),
        any(True for _ in plain.parameters()),
    )


def _refuse_matrices(library: str) -> None:
    """A weight a row on losses of shape (n, 1) gives (n, n) in the library: each pair's, with every weight."""
    terms = make("loss", library, reducer=reducers.DoNothingReducer())(embeddings(0), LABELS)
    for term in terms.values():
        assert term["reduction_type"] == "already_reduced" or term["losses"].ndim == 1


def mines(library: str) -> bool:
    """Whether what every miner found is taken, and changes the value for one at least."""
    made = [outcome(partial(_mined, library, name)) for name in PARTS["miner"]]
    return all(made) and any(differ(values(library), one) for one in made if one is not None)


def _mined(library: str, name: str) -> list[float]:
    miner = part("miner", name)
    return [value(make("loss", library), draw, miner(embeddings(draw), LABELS))[0] for draw in range(DRAWS)]


def part_entry(kind: PartKind, name: str) -> Entry:
    """One distance, reducer, regularizer or miner, tried out."""
    library = PARTS[kind][name].library
    plain = part(kind, name)
    slots: dict[str, Slot] = {}
    if kind in ("miner", "regularizer"):
        run = _miner_run(name) if kind == "miner" else _regularizer_run(name)
        if accepted := distances_of(run):
            slots["distance"] = Slot("distance", accepted, default_of("distance", plain.distance))
        if kind == "regularizer":
            accepted = parts_of("reducer", "reducer", run, owner="regularizer")
            slots["reducer"] = Slot("reducer", dict.fromkeys(accepted), default_of("reducer", plain.reducer))
    if name == "per_anchor":
        accepted = parts_of("reducer", "reducer", _per_anchor_run, owner="per_anchor")
        slots["reducer"] = Slot("reducer", dict.fromkeys(accepted), default_of("reducer", plain.reducer))
    given: dict[str, Given] = {"num_classes": "classes", "centers_per_class": "centers"}
    arguments = arguments_of(kind, library)
    own = {one: default for one, default in arguments.items() if one not in given and (name, one) not in PLACES}
    return Entry(library, own, {one: of for one, of in given.items() if one in signature(type(plain))}, slots)


def _miner_run(name: str) -> Callable[..., list[float]]:
    """Which images a miner chose, as numbers."""

    def run(**arguments: Any) -> list[float]:
        torch.default_generator.manual_seed(0)
        mined = [part("miner", name, **arguments)(embeddings(draw), LABELS) for draw in range(DRAWS)]
        return [float((positions * torch.arange(1, len(positions) + 1)).sum()) for one in mined for positions in one]

    return run


def _regularizer_run(name: str) -> Callable[..., list[float]]:
    def run(**arguments: Any) -> list[float]:
        return [float(part("regularizer", name, **arguments)(embeddings(draw))) for draw in range(DRAWS)]

    return run


def _per_anchor_run(**arguments: Any) -> list[float]:
    if isinstance(arguments["reducer"], reducers.PerAnchorReducer):
        raise TypeError("an anchor's mean has no anchors")
    return values("ContrastiveLoss", reducer=part("reducer", "per_anchor", **arguments))


@cache
def facts() -> dict[str, dict[str, Entry]]:
    """Every entry, made anew: of losses, and of each kind of part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tables = {"loss": {name: loss_entry(name) for name in sorted(NOTES)}}
        for kind, notes in PARTS.items():
            tables[kind] = {name: part_entry(kind, name) for name in sorted(notes)}
    return tables


def public_classes() -> Iterator[str]:
    """Every class that the library's five modules offer."""
    for module in MODULES.values():
        yield from (name for name, found in vars(module).items() if isinstance(found, type))


# Writing --------------------------------------------------------------------------------------------------------------

FILE = Path(__file__).parents[3] / "src" / "nearkin" / "components" / "losses" / "table.json"


def write() -> None:
    """The table, a line a fact: what changes with the library is then seen in a diff."""
    tables = [f"{json.dumps(kind)}: {{\n{_rows(table)}\n}}" for kind, table in facts().items()]
    FILE.write_text("{\n" + ",\n".join(tables) + "\n}\n", encoding="utf-8")


def _rows(table: Mapping[str, Entry]) -> str:
    return ",\n".join(f" {json.dumps(name)}: {{\n{_lines(as_json(entry))}\n }}" for name, entry in table.items())


def _lines(entry: Mapping[str, Any]) -> str:
    return ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())


if __name__ == "__main__":
    write()
    sys.stderr.write(f"wrote {FILE}\n")
