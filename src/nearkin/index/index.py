"""The index: references added and removed, calibrated, queried, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearkin.contracts import Build, ClassRule, Embed, EngineChoice, Metric, Promise
from nearkin.errors import IndexCallError
from nearkin.index import answering, calibrating, lifecycle, storage
from nearkin.index.alphas import ALPHAS, AlphaRow, alpha_table
from nearkin.index.answering import Asked
from nearkin.index.engines import engine_choice
from nearkin.index.inputs import Given, named_texts, read, refuse
from nearkin.index.references import References
from nearkin.index.searcher import Searcher
from nearkin.index.settings import Settings, alpha_problem, count_problem
from nearkin.index.state import State
from nearkin.index.where import Where

ModelFiles = Callable[[], Mapping[str, bytes]]


class Index:
    """Labelled embeddings, one cluster a label, that answers for new images: which cluster, or unknown.

    Everywhere "images or embeddings" are asked for: a float array or tensor, (d,) for one or (n, d), or a list of
    (d,) ones, is embeddings; anything else (a path, a PIL image, an array of another shape or type, or a list of
    them) is images, which the model that the index was made with embeds. Errors are `IndexCallError`.
    """

    def __init__(
        self,
        *,
        metric: Metric,
        class_rule: ClassRule,
        dim: int,
        alpha: float = 0.10,
        k: int = 1,
        embed: Embed | None = None,
        trained_digests: AbstractSet[str] = frozenset(),
        model_files: ModelFiles | None = None,
        model_digest: str = "",
        engine: EngineChoice | str = "flat",
    ) -> None:
        settings = Settings(metric, class_rule, dim, alpha, k)
        self._engine = engine if isinstance(engine, EngineChoice) else engine_choice(engine)
        made = self._engine.make(Build(seed=0, embedding_dim=settings.dim, metric=metric))
        self._state = State.empty(settings, trained_digests, made)
        self._embed = embed
        self._model_files = model_files
        self.model_digest = model_digest
        """Of the model whose embeddings it holds; empty where nobody said."""

    def __len__(self) -> int:
        return len(self.references)

    def __repr__(self) -> str:
        return f"Index({self.metric!r}, {len(self)} references of {len(self.labels)} classes)"

    @property
    def metric(self) -> Metric:
        """How distances are measured."""
        return self._state.settings.metric

    @property
    def alpha(self) -> float:
        """The promised upper bound on the share of a calibrated class's images that are flagged unknown."""
        return self._state.settings.alpha

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it holds references of, sorted."""
        return self.references.classes

    @property
    def references(self) -> References:
        """The store, read-only: vectors, ids, labels, groups, sources, in the order of ids."""
        return self._state.references

    @property
    def promise(self) -> Promise:
        """What stands behind answers at the index's own alpha."""
        return self._state.judge(self.alpha).promise

    @property
    def faiss(self) -> Any:
        """A copy of the raw FAISS index (IndexIDMap2 over IndexFlat; under cosine of vectors of length 1)."""
        raw = getattr(self._state.searcher.engine, "faiss", None)
        if raw is None:
            raise IndexCallError(f"the engine {self._engine.type!r} is not made of FAISS.")
        return raw

    # ---------------------------------------------------------------------------------------- references

    def add(
        self,
        images_or_embeddings: Any,
        labels: Sequence[str] | str,
        ids: Sequence[int] | int | None = None,
        groups: Sequence[str] | str | None = None,
        *,
        sources: Sequence[str] | str | None = None,
        digests: Sequence[str] | None = None,
        trained: bool | Sequence[bool] = False,
    ) -> list[int]:
        """Add references and return their ids, in the order given. All or none are added.

        `groups`: what they share with others (the patient). `digests`: the hashes of images whose embeddings are
        given. `trained`: whether they trained the model. The classes they join must be calibrated again.
        """
        given = self._read(images_or_embeddings)
        named = named_texts(given, labels, groups, sources, digests)
        self._state, new_ids = lifecycle.add(self._state, given, named, ids, trained)
        return new_ids

    def remove(
        self,
        ids: Iterable[int] | int | None = None,
        labels: Iterable[str] | str | None = None,
        groups: Iterable[str] | str | None = None,
    ) -> int:
        """Remove references by exactly one of ids, labels, groups; return how many went. All named must be there."""
        self._state, n_removed = lifecycle.remove(self._state, ids, labels, groups)
        return n_removed

    # --------------------------------------------------------------------------------------- calibration

    def remember_trained(
        self,
        images_or_embeddings: Any,
        groups: Sequence[str] | str | None = None,
        *,
        digests: Sequence[str] | None = None,
    ) -> None:
        """Never calibrate on these: they trained the model or chose its weights, and are no references here."""
        given = self._read(images_or_embeddings)
        named = named_texts(given, [""] * len(given), groups, None, digests)
        self._state = lifecycle.remember_trained(self._state, given, named)

    def calibrate(
        self,
        images_or_embeddings: Any,
        labels: Sequence[str] | str,
        alpha: float | None = None,
        groups: Sequence[str] | str | None = None,
        *,
        sources: Sequence[str] | str | None = None,
        digests: Sequence[str] | None = None,
    ) -> Index:
        """Calibrate the classes of these labels on held-out items; other classes keep their calibration.

        Items that trained the model, are references, or share a group with either are refused by name.
        What was given of these classes before is replaced. `alpha` becomes the index's own. Returns self.
        """
        given = self._read(images_or_embeddings)
        named = named_texts(given, labels, groups, sources, digests)
        self._state = calibrating.calibrate(self._state, given, named, alpha)
        return self

    def recalibrate(self) -> Index:
        """Score the calibration items again, after references changed. Returns self.

        Items of classes that hold no reference any more wait until they do.
        """
        self._state = calibrating.recalibrate(self._state)
        return self

    # ------------------------------------------------------------------------------------------- answers

    def query(
        self, images_or_embeddings: Any, *, k: int = 5, alpha: float | None = None, where: Where | None = None
    ) -> Any:
        """One image or (d,) embedding -> one `Answer`; a list or an (n, d) array -> a list of them.

        `k`: how many neighbours an answer shows; all where the index holds fewer. `alpha`: decide at another
        level than the index's own, from the same scores. `where`: ask about some references alone, by label, group
        or source: `{"label": ["covid", "normal"], "source": "ward-3/*"}`. Classes that the filter leaves out are not
        asked about; one that it takes a part of is uncalibrated.
        """
        refuse([count_problem("k", k), alpha_problem(alpha) if alpha is not None else ""])
        asked = self._asked(images_or_embeddings, where)
        level = self.alpha if alpha is None else float(alpha)
        answers = answering.answer(asked.state, asked.vectors, neighbors=int(k), alpha=level)
        return answers[0] if asked.one else answers

    def range(self, images_or_embeddings: Any, radius: float, *, where: Where | None = None) -> Any:
        """All references at most `radius` away, in the index's metric: a tuple of `Neighbor`, nearest first.

        One in gives one tuple; a list in gives a list of them.
        """
        refuse([answering.radius_problem(radius)])
        asked = self._asked(images_or_embeddings, where)
        found = list(answering.within(asked.state, asked.vectors, radius))
        return found[0] if asked.one else found

    def alpha_table(
        self, queries: Any = None, *, alphas: Sequence[float] = ALPHAS, images: int = 100
    ) -> list[AlphaRow]:
        """What each alpha costs, to choose one: false flags a class, and the review load of the queries given.

        The range of false flags is for so many new `images` of a class.
        """
        refuse([*map(alpha_problem, alphas), count_problem("images", images)])
        asked = None if queries is None else self._asked(queries, None)
        return alpha_table(self._state, alphas, int(images), asked)

    def _asked(self, images_or_embeddings: Any, where: Where | None) -> Asked:
        state = self._state
        state.require_references()
        given = read(images_or_embeddings, state.settings.dim, self._embed)
        return Asked.of(state if where is None else state.part(where), given)

    # -------------------------------------------------------------------------------------------- inputs

    def _read(self, images_or_embeddings: Any) -> Given:
        return read(images_or_embeddings, self._state.settings.dim, self._embed)

    # ---------------------------------------------------------------------------------------------- disk

    def save(self, folder: Path | str, *, with_model: bool = True) -> None:
        """Write everything into a folder of its own, the model too, so that it opens on another machine."""
        import faiss

        model = self._model_files() if with_model and self._model_files else {}
        state = self._state
        contents = storage.Contents(
            settings=state.settings,
            references=state.references,
            calibration=state.calibration,
            trained=state.trained,
            faiss=faiss.serialize_index(self.faiss).tobytes(),
            model=model,
            model_digest=self.model_digest,
        )
        storage.write(Path(folder), contents)

    @classmethod
    def from_contents(cls, contents: storage.Contents, embed: Embed | None, model_files: ModelFiles | None) -> Index:
        """The index that a folder held."""
        index = cls(
            **asdict(contents.settings),
            embed=embed,
            model_files=model_files,
            model_digest=contents.model_digest,
        )
        references = contents.references
        engine = index._state.searcher.engine.holding(references.ids, references.vectors)
        searcher = Searcher(references, engine, index.metric)
        index._state = State(contents.settings, references, contents.calibration, contents.trained, searcher)
        return index
