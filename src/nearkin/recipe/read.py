"""Reads a recipe: text, overrides, sections, then what sections must agree on; all problems at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, Field

from nearkin.contracts import Kind, Options
from nearkin.errors import Problem, RecipeError, listing
from nearkin.recipe.agreement import (
    check_compose,
    check_labels,
    check_loss,
    check_loss_rate,
    check_mining,
    check_points,
    check_structure,
    check_target,
    check_what_is_drawn,
)
from nearkin.recipe.backbones import read_backbones
from nearkin.recipe.check import check_model, plain_data
from nearkin.recipe.comparison import settle_comparison
from nearkin.recipe.components import Chosen, a, choose
from nearkin.recipe.data_options import DataOptions
from nearkin.recipe.engine import read_engine
from nearkin.recipe.model import BackboneSection, EmbedOptions, IndexOptions, Recipe, Selection
from nearkin.recipe.overrides import apply_overrides
from nearkin.recipe.plain_words import describe, unknown_key
from nearkin.recipe.problems import Problems
from nearkin.recipe.train_options import TrainOptions
from nearkin.recipe.unknown import check_way, other_options, read_score
from nearkin.recipe.unknown_options import UnknownOptions
from nearkin.recipe.yaml_text import read_document
from nearkin.registry import Registries

MAX_BYTES = 2**20
KEYS = (
    "name", "seed", "data", "backbone", "method", "sampler", "loss", "train", "embed", "index", "unknown", "evaluate",
)  # fmt: skip
T = TypeVar("T")
Section = TypeVar("Section", bound=BaseModel)
Overrides: TypeAlias = Sequence[str] | Mapping[str, object]


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} cannot name a folder here. Use letters (a-z), digits, '.', '_' and '-', a letter or digit first."
        )
    return name


class Head(Options):
    """The top-level keys that are no sections."""

    name: Annotated[str, Field(max_length=100), AfterValidator(_folder_name)]
    """Names the run's folder: letters (a-z), digits, `.`, `_` and `-`, at most 100, a letter or digit first."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """All randomness follows from it."""


EXAMPLES = {"data": "{source: folder, path: images, shots: 10}", "train": "{steps: 400}"}
"""Of the sections that every recipe has."""


def read_recipe(path: Path | str, registries: Registries, overrides: Overrides = ()) -> Recipe:
    """The recipe in a file. `RecipeError` holds every problem, each with its place."""
    return parse_recipe(_read_text(Path(path)), registries, name=str(path), overrides=overrides)


def parse_recipe(
    text: str, registries: Registries, *, name: str, overrides: Overrides = (), settled: bool = False
) -> Recipe:
    """The recipe in a text; `name` is what places begin with.

    `settled`: it is a run's own. Its sections agreed when it was made, and what later versions would rather have
    than they did then does not keep it from being opened.
    """
    problems = Problems()
    data = read_document(text.removeprefix("\ufeff"), name, problems)
    apply_overrides(data, overrides, problems)
    return _Reader(plain_data(data, (), problems), registries, problems, settled).recipe()


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _unreadable(str(path), "there is no such file. 'nearkin recipes list' names those that ship.") from error
    except OSError as error:
        reason = "it is a folder" if path.is_dir() else (error.strerror or str(error)).lower()
        raise _unreadable(str(path), f"cannot be read: {reason}.") from error
    if len(raw) > MAX_BYTES:
        raise _unreadable(str(path), f"is larger than {MAX_BYTES:,} bytes; no recipe is.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        line = before.count(b"\n") + 1
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8. Save the file as UTF-8."
        raise _unreadable(f"{path}:{line}:{column}", message) from error


def _unreadable(where: str, message: str) -> RecipeError:
    return RecipeError([Problem(where, "", message)])


class _Reader:
    """Checks every section of plain data on its own, then what is sound together."""

    def __init__(self, data: dict[str, Any], registries: Registries, problems: Problems, settled: bool) -> None:
        self.data = data
        self.registries = registries
        self.problems = problems
        self.settled = settled

    def recipe(self) -> Recipe:
        """The whole; raises every problem that was found on the way."""
        self._refuse_unknown_keys()
        top = {key: self.data[key] for key in Head.model_fields if key in self.data}
        head = check_model(Head, top, (), self.problems)
        data, train = self._section("data", DataOptions), self._section("train", TrainOptions)
        engine, rest = read_engine(self.data.get("index", {}), self.registries, self.problems)
        index = check_model(IndexOptions, rest, ("index",), self.problems, beside=("engine",))
        embed = self._section("embed", EmbedOptions) if "embed" in self.data else EmbedOptions()
        unknown = self._unknown()
        score, index = read_score(self.data.get("unknown"), index, self.registries, self.problems)
        backbones = self._backbones()
        method, sampler = self._component("method"), self._component("sampler")
        loss = self._component("loss") if self._has_loss else None
        evaluate = [_selection(chosen) for chosen in self._evaluators()]
        compared = _selection(method)
        if not self.settled:
            self._check_agreement(data, method, sampler, loss)
            if data and train:
                check_target(data, train, self.problems)
            if data and embed:
                check_what_is_drawn(data, embed, self.problems)
            if index:
                check_points(index.operating_points, self.problems)
            if train and sampler:
                check_compose(train, sampler.component, self.problems)
            if train and (not self._has_loss or _selection(loss)):
                check_loss_rate(train.optimizer.loss_lr, _selection(loss), self.problems)
            compared = self._settle(method, loss, index)
            if unknown and score and engine and data:
                check_way(unknown, score, engine, data, self.registries, self.problems)
        self.problems.raise_any()
        return Recipe(
            name=_sure(head).name,
            seed=_sure(head).seed,
            data=_sure(data),
            backbones=backbones,
            method=_sure(compared),
            sampler=_sure(_selection(sampler)),
            loss=_selection(loss),
            train=_sure(train),
            embed=_sure(embed),
            index=_sure(index),
            engine=_sure(engine),
            score=_sure(score),
            unknown=_sure(unknown),
            evaluate=tuple(_sure(selection) for selection in evaluate),
        )

    @property
    def _has_loss(self) -> bool:
        return self.data.get("loss") is not None

    def _refuse_unknown_keys(self) -> None:
        for key in self.data:
            if key not in KEYS:
                self.problems.add((key,), unknown_key(key, KEYS), at_key=True)

    def _section(self, key: str, model: type[Section]) -> Section | None:
        if key not in self.data:
            self.problems.add((key,), f"missing: a recipe needs this section, as in {key}: {EXAMPLES[key]}.")
            return None
        return check_model(model, self.data[key], (key,), self.problems)

    def _backbones(self) -> tuple[BackboneSection, ...]:
        if "backbone" in self.data:
            return read_backbones(self.data["backbone"], self.registries, self.problems, settled=self.settled)
        self._missing("backbone")
        return ()

    def _unknown(self) -> UnknownOptions | None:
        rest = other_options(self.data.get("unknown", {}), self.problems)
        return check_model(UnknownOptions, rest, ("unknown",), self.problems)

    def _component(self, kind: Kind) -> Chosen | None:
        if kind in self.data:
            return choose(kind, self.data[kind], (kind,), self.registries, self.problems)
        self._missing(kind)
        return None

    def _missing(self, kind: Kind) -> None:
        names = self.registries.of(kind).names()
        mend = f"name {a(kind)}, as in {kind}: {{type: {names[0]}}}. There are {listing(names)}." if names else ""
        self.problems.add((kind,), f"missing: {mend or f'no {kind} is registered.'}")

    def _evaluators(self) -> list[Chosen | None]:
        entries = self.data.get("evaluate", [])
        if not isinstance(entries, list):
            message = f"wants a list of evaluators, not {describe(entries)}. Begin each with '- '."
            self.problems.add(("evaluate",), message)
            return []
        return [
            choose("evaluator", entry, ("evaluate", position), self.registries, self.problems)
            for position, entry in enumerate(entries)
        ]

    def _check_agreement(
        self, data: DataOptions | None, method: Chosen | None, sampler: Chosen | None, loss: Chosen | None
    ) -> None:
        if data:
            check_labels(data, self.problems)
        if method:
            check_loss(method.component, self._has_loss, self.registries, self.problems)
        if method and sampler and (loss or not method.component.uses_loss):
            takers = [method.component, *([loss.component] if loss and method.component.uses_loss else [])]
            check_structure(sampler.component, takers, self.registries, self.problems)
        if sampler and loss and loss.selection:
            check_mining(sampler.component, loss.selection, self.registries, self.problems)

    def _settle(self, method: Chosen | None, loss: Chosen | None, index: IndexOptions | None) -> Selection | None:
        return settle_comparison(method, _selection(loss), index, self.problems) if method else None


def _selection(chosen: Chosen | None) -> Selection | None:
    return chosen.selection if chosen else None


def _sure(value: T | None) -> T:
    """What is there wherever no problem was found."""
    assert value is not None, "a part that could not be read is always a problem"
    return value
