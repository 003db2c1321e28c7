"""Typed options of every loss, distance, reducer, regularizer and miner, made from the table and the notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, create_model, model_validator

from nearkin.components.losses.comparison import compared
from nearkin.components.losses.entries import REQUIRED, Entry, Note, PartKind, Slot
from nearkin.components.losses.limits import DRAWN, check_options, was_given
from nearkin.components.losses.notes import EVERY_LOSS, NOTES, RENAMED, Count
from nearkin.components.losses.part_notes import PARTS
from nearkin.components.losses.tables import tables
from nearkin.contracts import Comparison, LossOptions, Options, PartOptions, StructureKind

Made = TypeVar("Made", bound=Options)
SLOT_MEANINGS = {
    "distance": "How two embeddings are compared.",
    "reducer": "How the losses of all pairs, triplets or images become one.",
    "embedding_regularizer": "A penalty on the batch's embeddings.",
    "weight_regularizer": "A penalty on the loss's own weights, a row a class or centre.",
    "miner": "Chooses pairs or triplets from the batch. Its batches must be labels alone.",
    "memory": "Compares with the embeddings of earlier batches too. Its batches must be labels alone.",
}


class LibraryPartOptions(PartOptions):
    """The base of what the table makes: descriptions come from the notes."""

    model_config = ConfigDict(use_attribute_docstrings=False)


class MemoryOptions(Options):
    """Cross-batch memory (Wang et al. 2020)."""

    size: Count = 1024
    """Embeddings kept: the latest ones. At least a batch."""


class LibraryLossOptions(LossOptions):
    """The base of the options of a loss of the library."""

    model_config = ConfigDict(use_attribute_docstrings=False)
    entry: ClassVar[Entry]
    if TYPE_CHECKING:
        distance: Any

    def comparison(self) -> Comparison | None:
        """As its distance does, chosen or fixed."""
        fixed = self.entry.slots["distance"].default or {}
        chosen = self.distance.model_dump() if "distance" in type(self).model_fields else fixed
        name = chosen["type"]
        return compared({**tables()["distance"][name].arguments, **(fixed if fixed["type"] == name else {}), **chosen})

    def mining_key(self) -> str | None:
        """`miner` or `memory`, where it is given."""
        return next((key for key in ("miner", "memory") if getattr(self, key, None) is not None), None)

    def idle_key(self, structure: StructureKind) -> str | None:
        """`triplets_per_anchor`, where the sampler has chosen the triplets."""
        return DRAWN if structure != "labels" and was_given(self, DRAWN) else None

    def learns(self) -> bool | None:
        """Whether it has weights: a direction or proxy a class, or a learned boundary."""
        return self.entry.learns or getattr(self, "learn_beta", False)


@cache
def loss_options(name: str) -> type[LibraryLossOptions]:
    """The options model of one loss."""
    entry, note = tables()["loss"][name], NOTES[name]
    fields = {**_own_fields(entry, note), **dict(_slot_fields(entry)), **dict(_mining_fields(entry))}
    check = partial(check_options, "loss", name)
    model = _made(f"{note.library}Options", LibraryLossOptions, note.summary, fields, check)
    model.entry = entry
    return model


@cache
def part_options(kind: PartKind, name: str, settable: tuple[str, ...] | None = None) -> type[LibraryPartOptions]:
    """The options model of one part; where only some arguments may be set, of those."""
    entry, note = tables()[kind][name], PARTS[kind][name]
    own = {key: field for key, field in _own_fields(entry, note).items() if settable is None or key in settable}
    tag = {"type": (Literal[name], Field(description=note.summary))}
    title = f"{note.library}Options" + ("" if settable is None else "".join(f"_{key}" for key in settable))
    fields = {**tag, **own, **dict(_slot_fields(entry))}
    model = _made(title, LibraryPartOptions, note.summary, fields, partial(check_options, kind, name))
    model.kind = kind
    return model


def _made(
    title: str, base: type[Made], summary: str, fields: Mapping[str, Any], limit: Callable[[Any], None]
) -> type[Made]:
    def check(options: Any) -> Any:
        limit(options)
        return options

    checks: dict[str, Any] = {"check": model_validator(mode="after")(check)}
    model: type[Made] = create_model(title, __base__=base, __doc__=summary, __validators__=checks, **fields)
    return model


def _own_fields(entry: Entry, note: Note) -> dict[str, Any]:
    """A field for each argument that the note explains, in the note's order."""
    return {
        RENAMED.get(argument, argument): _field(annotation, entry.arguments[argument], meaning)
        for argument, (annotation, meaning) in note.arguments.items()
    }


def _field(annotation: Any, default: Any, meaning: str) -> Any:
    if default is REQUIRED:
        return annotation, Field(description=meaning)
    if annotation is bool:
        default = bool(default)
    elif isinstance(default, int) and "float" in str(annotation):
        default = float(default)
    return annotation, Field(default=default, description=meaning)


def _slot_fields(entry: Entry) -> Iterator[tuple[str, Any]]:
    """A field for each place where another part goes, and one for the weight that some have."""
    for key, slot in entry.slots.items():
        if not slot.accepts:
            continue
        yield key, _slot_field(key, slot)
        weight = f"{key.removesuffix('ularizer')}_weight"
        if weight in entry.arguments:
            annotation, meaning = EVERY_LOSS[weight]
            yield weight, _field(annotation, entry.arguments[weight], meaning)


def _slot_field(key: str, slot: Slot) -> Any:
    models = {name: part_options(slot.kind, name, settable) for name, settable in slot.accepts.items()}
    section = _one_of(models)
    if slot.default is None:
        return section | None, Field(default=None, description=SLOT_MEANINGS[key])
    model = models[slot.default["type"]]
    default = model(
        **{one: _plain(model, one, value) for one, value in slot.default.items() if one in model.model_fields}
    )
    return section, Field(default=default, description=SLOT_MEANINGS[key])


def _plain(model: type[Options], key: str, value: Any) -> Any:
    """A default of the library as the option has it: 2 as 2.0 where any number may stand."""
    default = model.model_fields[key].default
    return type(default)(value) if isinstance(default, float) else value


def _one_of(models: Mapping[str, type[LibraryPartOptions]]) -> Any:
    several = tuple(models.values())
    return several[0] if len(several) == 1 else Annotated[reduce(or_, several), Field(discriminator="type")]


def _mining_fields(entry: Entry) -> Iterator[tuple[str, Any]]:
    if entry.mines:
        miners = _one_of({name: part_options("miner", name) for name in tables()["miner"]})
        yield "miner", (miners | None, Field(default=None, description=SLOT_MEANINGS["miner"]))
    if entry.memory:
        yield "memory", (MemoryOptions | None, Field(default=None, description=SLOT_MEANINGS["memory"]))
