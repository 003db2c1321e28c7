"""The index: references added and removed, calibrated, queried, saved and loaded."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from nearkin.arguments import path_of
from nearkin.contracts import Build, ClassRule, Embed, EngineChoice, Metric, ScoreChoice
from nearkin.errors import IndexCallError, WorkFailed
from nearkin.index import lifecycle, merging, reembedding, storage
from nearkin.index.calibrated import Calibrated
from nearkin.index.contents import contents_of
from nearkin.index.engines import built_in
from nearkin.index.inputs import named_texts
from nearkin.index.model_link import ModelFiles, ModelLink
from nearkin.index.scores import score_choice
from nearkin.index.settings import Settings
from nearkin.index.space import Space
from nearkin.index.state import State
from nearkin.index.trained import Trained
from nearkin.index.writing import writing


class Index(Calibrated):
    """Labelled embeddings, one cluster a label, that answers for new images: which cluster, or unknown.

    Everywhere "images or embeddings" are asked for: a float array or tensor, (d,) for one or (n, d), or a list of
    (d,) ones, is embeddings; anything else (a path, a PIL image, an array of another shape or type, or a list of
    them) is images, which the model that the index was made with embeds. Errors are `IndexCallError`.

    Where the outlier score looks at a `space` of its own, embeddings come as an `Embedded` that holds both, as
    `run.model.embed(images)` gives.
    """

    def __init__(
        self,
        *,
        metric: Metric,
        class_rule: ClassRule,
        dim: int,
        alpha: float = 0.10,
        score: ScoreChoice | Mapping[str, Any] | str = "knn",
        operating_points: Mapping[str, float] | None = None,
        embed: Embed | None = None,
        trained_digests: AbstractSet[str] = frozenset(),
        trained_groups: AbstractSet[str] = frozenset(),
        model_files: ModelFiles | None = None,
        model_digest: str = "",
        engine: EngineChoice | str = "auto",
        space: Space | None = None,
    ) -> None:
        settings = Settings(metric, class_rule, dim, alpha, score_choice(score), operating_points or {}, space)
        self._engine = engine if isinstance(engine, EngineChoice) else built_in(engine)
        made = self._engine.make(Build(seed=0, embedding_dim=settings.dim, metric=metric))
        model = ModelLink(embed, model_files, model_digest)
        trained = Trained.empty(dim, trained_digests, trained_groups)
        self._state = State.empty(settings, trained, made, model)
        self._changing = threading.RLock()
        self._seen: dict[Path, str] = {}
        """Which state each folder had when this index was opened from it, or last saved to it."""

    @property
    def engine(self) -> str:
        """The name of the engine that finds references."""
        return self._engine.type

    @property
    def faiss(self) -> Any:
        """A copy of the raw FAISS index: over few an IndexIDMap2 of an IndexFlat; under cosine of unit vectors."""
        raw = getattr(self._state.searcher.engine, "faiss", None)
        if raw is None:
            raise IndexCallError(f"the engine {self._engine.type!r} is not made of FAISS.")
        return raw

    def blank(self) -> Index:
        """An index of the same model and settings that holds nothing; what trained the model stays refused."""
        made = copy.copy(self)
        made._state, made._seen, made._changing = self._state.blank(), {}, threading.RLock()
        return made

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "_changing"}
        return kept | {"_seen": dict(self._seen)}  # what a copy saw must not grow with the saves of another

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept, _changing=threading.RLock())

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
        reviewed: bool | Sequence[bool] = False,
    ) -> list[int]:
        """Add references and return their ids, in the order given. All or none are added.

        `groups`: what they share with others (the patient). `digests`: the hashes of images whose embeddings are
        given. `trained`: whether they trained the model. `reviewed`: whether people chose them to look at: such
        images, and their groups, never calibrate. The classes they join must be calibrated again.
        """
        state = self._state
        given = self._read(images_or_embeddings, state)
        named = named_texts(given, labels, groups, sources, digests)
        return self._change(lifecycle.add, given, named, ids, trained, reviewed, read_by=state)

    def remove(
        self,
        ids: Iterable[int] | int | None = None,
        labels: Iterable[str] | str | None = None,
        groups: Iterable[str] | str | None = None,
    ) -> int:
        """Remove references by exactly one of ids, labels, groups; return how many went. All named must be there."""
        return self._change(lifecycle.remove, ids, labels, groups)

    def relabel(
        self,
        to: str,
        *,
        ids: Iterable[int] | int | None = None,
        labels: Iterable[str] | str | None = None,
        groups: Iterable[str] | str | None = None,
    ) -> int:
        """Give references another label, by exactly one of ids, labels, groups; return how many had another one.

        By `labels` a whole class is renamed, its calibration items with it; where no class has the new name, its
        calibration stays fresh. All other classes that lose or gain references must be calibrated again.
        """
        return self._change(lifecycle.relabel, to, ids, labels, groups)

    def merge(self, other: Index, *, renumber: bool = False, keep_calibration: bool = True) -> dict[int, int]:
        """Take in all that another index of the same model holds; return the id that each of its references has now.

        Ids that both hold are refused, unless `renumber` gives the other's references new ones. Refused too: another
        model, metric or class rule, and calibration items of one that are references of the other, or share a group
        with them (`keep_calibration=False` drops all calibration). What trained either is remembered. Classes that
        the other brings anything of must be calibrated again: `recalibrate()`. `history` says how many of its
        references are of images that this one holds already: they are taken in all the same.
        """
        return self._change(merging.merge, _state_of(other, "merge"), renumber, keep_calibration)

    def reembed(
        self,
        other: Index,
        images: Mapping[int, Any] | None = None,
        *,
        root: Path | str = ".",
        keep_calibration: bool = True,
    ) -> Index:
        """Embed everything again with the model of another index (a run's: `index.reembed(run.index)`). Returns self.

        Ids, labels and groups stay; metric, class rule and what trained become the other's. Images are read from
        the references' sources, relative to `root`, or taken from `images`, by id; one that is not the image that
        was embedded before is refused. Calibration items are embedded again too, and scored.
        """
        target = _state_of(other, "reembed")
        build = Build(seed=0, embedding_dim=target.settings.dim, metric=target.settings.metric)
        found = reembedding.Images(images or {}, Path(root))
        self._change(reembedding.reembed, target, self._engine.make(build), found, keep_calibration, self.on_embed)
        return self

    def use_engine(self, engine: EngineChoice | str) -> Index:
        """Search with another engine, made anew from the references. Returns self.

        Between exact engines nothing else changes; from or to an approximate one, all classes are to be calibrated
        again.
        """
        choice = engine if isinstance(engine, EngineChoice) else built_in(engine)
        made = choice.make(Build(seed=0, embedding_dim=self.settings.dim, metric=self.metric))
        with self._changing:
            self._state = self._state.with_engine(made).noted("use_engine", len(self), engine=choice.type)
            self._engine = choice
        return self

    # ---------------------------------------------------------------------------------------------- disk

    def save(self, folder: Path | str, *, with_model: bool = True) -> None:
        """Write everything into a folder of its own, the model too, so that it opens on another machine.

        All changes since it was opened become the folder's state in one step, or none does. `WorkFailed` where
        another process is writing there, or wrote there since this index was opened from it or saved to it.
        """
        folder = path_of(folder, "save")
        storage.check_folder(folder)
        with writing(folder):
            self._refuse_changed(folder)
            storage.write(folder, contents_of(self._state, self._engine, with_model))
            self._seen[folder.resolve()] = storage.written(folder)

    def _refuse_changed(self, folder: Path) -> None:
        """Nobody's changes are overwritten unseen."""
        seen = self._seen.get(folder.resolve())
        if seen and storage.written(folder) not in ("", seen):
            raise WorkFailed(
                f"{folder}: was changed by someone else since this index was opened from it. "
                "Open it again and repeat your changes, or save into another folder."
            )

    @classmethod
    def from_state(cls, state: State, engine: EngineChoice, origin: tuple[Path, str]) -> Index:
        """The index that a folder held."""
        index = cls(**vars(state.settings), engine=engine)
        index._state, index._seen = state, dict([origin])
        return index


def _state_of(other: Any, call: str) -> State:
    if not isinstance(other, Index):
        raise IndexCallError(f"{call}: takes an Index, not {type(other).__name__}: run.index, or load_index(path).")
    return other._state
