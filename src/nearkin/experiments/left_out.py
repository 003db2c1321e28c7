"""A training that a class was left out of, asked about it in several spaces and by several scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nearkin.contracts import Build, Embedded, Figure, View
from nearkin.data import Item
from nearkin.errors import DataError
from nearkin.evaluation.views import kin_of
from nearkin.index import Index
from nearkin.recipe import Recipe
from nearkin.recipe.space import EmbeddingSpace, SpacePart, parts_of
from nearkin.recipe.write import resolved
from nearkin.recipe.yaml_text import write_yaml
from nearkin.training.indexing import index_space, recipe_score
from nearkin.training.work import Work

FIGURE = "unknown_auroc"
EMBEDDING = EmbeddingSpace(type="embedding")


@dataclass(frozen=True)
class Candidate:
    """A recipe with the score and the space that are tried."""

    recipe: Recipe

    @property
    def parts(self) -> tuple[SpacePart, ...]:
        """What stands side by side; the embedding where there is no space."""
        return parts_of(self.recipe.unknown.space) or (EMBEDDING,)

    @property
    def said(self) -> str:
        """In a line of the table."""
        options = self.recipe.score.options.model_dump(mode="json")
        score = ", ".join([self.recipe.score.type, *(f"{name} {value}" for name, value in options.items())])
        return f"{score}; {', and '.join(part.said for part in self.parts)}"

    @property
    def line(self) -> str:
        """What to put in the recipe."""
        unknown = resolved(self.recipe)["unknown"]
        return write_yaml({"unknown": {name: unknown[name] for name in ("score", "space")}})


@dataclass(frozen=True)
class LeftOut:
    """A training without a class, its references, and who is asked about, embedded once for all candidates."""

    work: Work
    asked: tuple[Item, ...]
    """The class that was left out, and the select images of the others."""
    embedded: tuple[Embedded, Embedded]
    """The references, and who is asked about."""

    @classmethod
    def of(cls, work: Work) -> LeftOut:
        """Of a training that is done."""
        items = work.dataset.items
        asked = (*items["test"], *items["select"])
        held, asked_about = (work.model.embed_both(work.store.images(some)) for some in (items["train"], asked))
        return cls(work, asked, (held, asked_about))

    def figure(self, candidate: Candidate) -> Figure:
        """As `open_set` measures it, in an index of the training's references."""
        dataset, store, seed = self.work.dataset, self.work.store, self.work.recipe.seed
        held, (references, asked) = dataset.items["train"], map(self._placed(candidate), self.embedded)
        index = self._index(candidate)
        index.add(references, [item.label for item in held], groups=[item.group for item in held])
        view = View(
            name="model",
            embeddings=asked.vectors,
            labels=tuple(item.label for item in self.asked),
            groups=tuple(item.group for item in self.asked),
            digests=store.digests(self.asked),
            classes=dataset.classes,
            seen_digests=frozenset(store.digests([*held, *kin_of({item.group for item in held}, self.asked)])),
            index=index,
            seed=seed,
            space=asked.space,
        )
        component = self.work.registries.of("evaluator").get("open_set")
        build = Build(seed=seed, classes=dataset.classes, input=self.work.model.input)
        figures: Sequence[Figure] = component.factory(component.options(), build).evaluate(view)
        found = next(figure for figure in figures if figure.name == FIGURE)
        if found.value is None:
            raise DataError(
                f"nothing is left to ask about in a training without one of the classes: {found.note} Groups of which "
                "other images trained are not asked about; give more groups, or lower data.shots."
            )
        return found

    @cached_property
    def _columns(self) -> dict[SpacePart, slice]:
        """Where each part stands in the space that the model gives."""
        space = self.work.model.space
        if space is None:
            return {}
        ends = np.cumsum((0, *space.dims(self.work.model.embedding_dim)))
        return {part: slice(*ends[at : at + 2]) for at, part in enumerate(space.parts)}

    def _placed(self, candidate: Candidate) -> Callable[[Embedded], Embedded]:
        """From the space of all candidates to this one's."""
        if isinstance(candidate.recipe.unknown.space, EmbeddingSpace):
            return lambda embedded: replace(embedded, space=None)
        columns = [self._columns[part] for part in candidate.parts]

        def place(embedded: Embedded) -> Embedded:
            assert embedded.space is not None, "some candidate has a space of its own"
            return replace(embedded, space=np.concatenate([embedded.space[:, one] for one in columns], axis=1))

        return place

    def _index(self, candidate: Candidate) -> Index:
        dims = [one.stop - one.start for part in candidate.parts if (one := self._columns.get(part))]
        method = self.work.model.method
        return Index(
            metric=method.metric,
            class_rule=method.class_rule,
            dim=self.work.model.embedding_dim,
            score=recipe_score(candidate.recipe, self.work.registries),
            space=index_space(candidate.recipe.unknown.space, dims),
        )
