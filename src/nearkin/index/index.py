"""The index: references added and removed, calibrated, queried, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.contracts import Answer, ClassRule, Embed, FloatArray, Metric, Promise
from nearkin.errors import IndexCallError
from nearkin.index import clusters, storage
from nearkin.index.calibration import Calibration
from nearkin.index.decide import Evidence, Judge
from nearkin.index.engine import FlatEngine
from nearkin.index.independence import check_independent, check_labels
from nearkin.index.inputs import Given, named_texts, read, refuse, text_problems, vector_problems
from nearkin.index.references import References
from nearkin.index.settings import Settings, alpha_problem, count_problem
from nearkin.index.trained import Trained

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
    ) -> None:
        self._settings = Settings(metric, class_rule, dim, alpha, k)
        self._embed = embed
        self._model_files = model_files
        self.model_digest = model_digest
        """Of the model whose embeddings it holds; empty where nobody said."""
        self._trained = Trained.empty(dim, trained_digests)
        self._calibration = Calibration.empty(dim)
        self._use(References.empty(dim))

    def _use(self, references: References, engine: FlatEngine | None = None) -> None:
        self._references = references
        self._engine = engine or FlatEngine(references, self.metric)
        self._judges: dict[float, Judge] = {}

    def _use_calibration(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._judges = {}

    def __len__(self) -> int:
        return len(self._references)

    def __repr__(self) -> str:
        return f"Index({self.metric!r}, {len(self)} references of {len(self.labels)} classes)"

    @property
    def metric(self) -> Metric:
        """How distances are measured."""
        return self._settings.metric

    @property
    def alpha(self) -> float:
        """The promised upper bound on the share of a calibrated class's images that are flagged unknown."""
        return self._settings.alpha

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it holds references of, sorted."""
        return self._references.classes

    @property
    def references(self) -> References:
        """The store, read-only: vectors, ids, labels, groups, sources, in the order of ids."""
        return self._references

    @property
    def promise(self) -> Promise:
        """What stands behind answers at the index's own alpha."""
        return self._judge(self.alpha).promise

    @property
    def faiss(self) -> Any:
        """A copy of the raw FAISS index (IndexIDMap2 over IndexFlat; under cosine of vectors of length 1)."""
        import faiss

        return faiss.clone_index(self._engine.faiss)

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
        references, new_ids = self._references.added(
            given.vectors,
            **named,
            trained=[trained] * len(given) if isinstance(trained, bool) else trained,
            trained_digests=self._trained.digests,
            ids=[ids] if isinstance(ids, (int, np.integer)) else ids,
            metric=self.metric,
        )
        rows = np.flatnonzero(references.trained & np.isin(references.ids, new_ids))
        if len(rows):
            digests_of, groups_of = ([texts[row] for row in rows] for texts in (references.digests, references.groups))
            self._trained = self._trained.joined(references.vectors[rows], digests_of, groups_of)
        self._use(references)
        self._use_calibration(self._calibration.stale(named["labels"]))
        return new_ids

    def remove(
        self,
        ids: Iterable[int] | int | None = None,
        labels: Iterable[str] | str | None = None,
        groups: Iterable[str] | str | None = None,
    ) -> int:
        """Remove references by exactly one of ids, labels, groups; return how many went. All named must be there."""
        asked = {"ids": ids, "labels": labels, "groups": groups}
        chosen = [(what, wanted) for what, wanted in asked.items() if wanted is not None]
        if len(chosen) != 1:
            raise IndexCallError("remove: give exactly one of ids, labels, groups.")
        what, wanted = chosen[0]
        positions = self._references.positions(what, [wanted] if isinstance(wanted, (int, np.integer, str)) else wanted)
        gone = {self._references.labels[place] for place in positions}
        self._use(self._references.without(positions))
        self._use_calibration(self._calibration.stale(gone))
        return len(positions)

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
        refuse(
            vector_problems(given.vectors, self._settings.dim, self.metric)
            + [problem for name in ("groups", "digests") for problem in text_problems(name, named[name], len(given))]
        )
        self._trained = self._trained.joined(given.vectors, named["digests"], named["groups"])

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
        refuse([alpha_problem(alpha)] if alpha is not None else [])
        given = self._read(images_or_embeddings)
        named = named_texts(given, labels, groups, sources, digests)
        self._require_references()
        refuse(
            vector_problems(given.vectors, self._settings.dim, self.metric)
            + [problem for name, values in named.items() for problem in text_problems(name, values, len(given))]
            + ([] if len(given) else ["calibrate: no items given."])
        )
        plain: dict[str, Any] = {name: tuple(map(str, values)) for name, values in named.items()}
        new = Calibration(
            vectors=given.vectors,
            scores=np.zeros(len(given), dtype=np.float32),
            **plain,
        )
        check_labels(new, self._references)
        check_independent(new, self._references, self._trained, self.metric)
        self._use_calibration(self._calibration.replaced(new).scored(self._engine, self._settings.k, set(new.labels)))
        if alpha is not None:
            self._settings = replace(self._settings, alpha=float(alpha))
        return self

    def recalibrate(self) -> Index:
        """Score the calibration items again, after references changed. Returns self.

        Items of classes that hold no reference any more wait until they do.
        """
        self._require_references()
        check_independent(self._calibration, self._references, self._trained, self.metric)
        self._use_calibration(self._calibration.scored(self._engine, self._settings.k, set(self._calibration.labels)))
        return self

    # ------------------------------------------------------------------------------------------- answers

    def query(self, images_or_embeddings: Any, *, k: int = 5, alpha: float | None = None) -> Any:
        """One image or (d,) embedding -> one `Answer`; a list or an (n, d) array -> a list of them.

        `k`: how many neighbours an answer shows; all where the index holds fewer. `alpha`: decide at another
        level than the index's own, from the same scores.
        """
        refuse([count_problem("k", k), alpha_problem(alpha) if alpha is not None else ""])
        if isinstance(images_or_embeddings, (list, tuple)) and not images_or_embeddings:
            return []
        self._require_references()
        given = self._read(images_or_embeddings)
        refuse(vector_problems(given.vectors, self._settings.dim, self.metric))
        if not len(given):
            return []
        answers = self._answers(given.vectors, int(k), self.alpha if alpha is None else float(alpha))
        return answers[0] if given.one else answers

    def _answers(self, vectors: FloatArray, k: int, alpha: float) -> list[Answer]:
        references, settings = self._references, self._settings
        found = clusters.look_up(self._engine, vectors, k=settings.k, neighbors=k)
        evidence = Evidence(
            classes=references.classes,
            codes=clusters.name(settings.class_rule, references, vectors, found.nearest, self.metric),
            nearest=found.nearest,
            p_values=self._calibration.p_values(found.kth, references.classes),
            neighbors=clusters.neighbors(references, found),
        )
        return self._judge(alpha).decide(evidence)

    def _judge(self, alpha: float) -> Judge:
        """The judge at this alpha, kept until references or calibration change."""
        if alpha not in self._judges:
            promise = self._calibration.promise(self._references.class_sizes, k=self._settings.k, alpha=alpha)
            self._judges[alpha] = Judge(self.metric, self._settings.class_rule, promise)
        return self._judges[alpha]

    # -------------------------------------------------------------------------------------------- inputs

    def _read(self, images_or_embeddings: Any) -> Given:
        return read(images_or_embeddings, self._settings.dim, self._embed)

    def _require_references(self) -> None:
        if not len(self):
            raise IndexCallError("the index holds no references yet. Add some: index.add(images, labels).")

    # ---------------------------------------------------------------------------------------------- disk

    def save(self, folder: Path | str, *, with_model: bool = True) -> None:
        """Write everything into a folder of its own, the model too, so that it opens on another machine."""
        model = self._model_files() if with_model and self._model_files else {}
        contents = storage.Contents(
            settings=self._settings,
            references=self._references,
            calibration=self._calibration,
            trained=self._trained,
            faiss=self._engine.to_bytes(),
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
        index._trained = contents.trained
        index._use(contents.references, FlatEngine(contents.references, index.metric, contents.faiss))
        index._use_calibration(contents.calibration)
        return index
