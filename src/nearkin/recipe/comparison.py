"""How embeddings are compared: as the loss compares them, unless the recipe says otherwise, and never against it."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias, get_args

from nearkin.contracts import Comparison, ComparisonOptions, LossOptions, Metric, Normalize
from nearkin.recipe.components import Chosen
from nearkin.recipe.model import IndexOptions, Selection
from nearkin.recipe.problems import KeyPath, Problems

Way: TypeAlias = tuple[Metric, Normalize]
DEFAULT: Way = ("l2", True)
"""Where neither the recipe nor the loss says how: as pytorch-metric-learning's distances do by default."""


def settle_comparison(
    method: Chosen, loss: Selection | None, index: IndexOptions | None, problems: Problems
) -> Selection | None:
    """The method with metric and normalisation filled in; what contradicts the loss is a problem."""
    selection = method.selection
    if selection is None or index is None:
        return selection
    if not isinstance(selection.options, ComparisonOptions):
        if index.metric is not None:
            message = f"the method {selection.type!r} says itself how embeddings are compared. Delete this key."
            problems.add(("index", "metric"), message, at_key=True)
        return selection
    if loss is None:
        return selection
    way = _way(selection.options, loss, index, problems)
    if way is None:
        return selection
    return replace(selection, options=selection.options.model_copy(update={"metric": way[0], "normalize": way[1]}))


def _way(asked: ComparisonOptions, loss: Selection, index: IndexOptions, problems: Problems) -> Way | None:
    metric = asked.metric or index.metric
    if index.metric not in (None, metric):
        problems.add(("index", "metric"), f"method.metric is {metric!r}, and this {index.metric!r}. Give one of them.")
        return None
    said = loss.options.comparison() if isinstance(loss.options, LossOptions) else None
    trained = said or Comparison("", *DEFAULT)
    way = (metric or trained.metric, trained.normalize if asked.normalize is None else asked.normalize)
    if way[0] is None:
        mend = f"Name the one to use: {', '.join(get_args(Metric))}."
        problems.add(
            ("index", "metric"),
            f"missing: the loss {loss.type!r} compares by {trained.said}, and no metric of the index ranks so. {mend}",
        )
        return None
    chosen: Way = (way[0], way[1])
    if said and said.metric and _ranking(chosen) != _ranking((said.metric, said.normalize)):
        problems.add(_blamed(asked), _contradiction(chosen, loss, said, said.metric))
    return chosen


def _ranking(way: Way) -> object:
    """What is the same for two ways that rank alike: L2 between vectors of unit L2 length ranks as cosine does."""
    return "angle" if way[0] == "cosine" or way == ("l2", True) else way


def _blamed(asked: ComparisonOptions) -> KeyPath:
    if asked.metric is None and asked.normalize is None:
        return "index", "metric"
    return "method", "normalize" if asked.metric is None else "metric"


def _contradiction(chosen: Way, loss: Selection, said: Comparison, metric: Metric) -> str:
    return (
        f"compares by {_told(chosen)}, but the loss {loss.type!r} trains {said.said}, which is "
        f"{_told((metric, said.normalize))}. Delete this key, or change the loss's distance."
    )


def _told(way: Way) -> str:
    length = {True: "of unit L2 length", "l1": "of unit L1 length", False: "as they are"}[way[1]]
    return f"the metric {way[0]!r} between embeddings {length}"
