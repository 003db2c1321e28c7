"""What the sections of a recipe must agree on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nearkin.contracts import Component, LossOptions, StructureKind
from nearkin.errors import listing
from nearkin.recipe.data_options import DataOptions, is_pattern
from nearkin.recipe.model import EmbedOptions, Selection
from nearkin.recipe.problems import KeyPath, Problems
from nearkin.recipe.train_options import TrainOptions
from nearkin.recipe.yaml_scalars import plain_value
from nearkin.registry import Registries


def check_target(data: DataOptions, train: TrainOptions, problems: Problems) -> None:
    """A target is judged on select, and only one that is set can end a training."""
    stopping, place = train.early_stopping, ("train", "early_stopping")
    if stopping and stopping.target and data.select == 0:
        problems.add((*place, "target"), "is judged on select, and data.select is 0. Give select images, or delete it.")
    if stopping and stopping.stop_at_target and stopping.target is None:
        problems.add((*place, "stop_at_target"), "there is no target to stop at. Give early_stopping.target.")


def check_head(backbone: Selection, at: KeyPath, problems: Problems) -> None:
    """A head of no size is none: its form would be dropped in silence."""
    options = backbone.options
    if getattr(options, "head", None) == "mlp" and getattr(options, "embedding_dim", 0) is None:
        problems.add((*at, "head"), "there is no head without a size. Give embedding_dim, or delete this key.")


def check_labels(data: DataOptions, problems: Problems) -> None:
    """No label or pattern twice, and none in two roles."""
    unknown = data.unknown if isinstance(data.unknown, tuple) else ()
    if data.known and len(data.known) == 1 and not is_pattern(data.known[0]):
        problems.add(("data", "known"), "needs at least 2 classes, or a pattern that fits several.")
    first: dict[str, str] = {}
    for key, labels in (("known", data.known or ()), ("select_classes", data.select_classes), ("unknown", unknown)):
        for position, label in enumerate(labels):
            other = first.setdefault(label, key)
            if label in labels[:position]:
                problems.add(("data", key, position), f"the label {label!r} is listed twice. Delete one.")
            elif other != key:
                problems.add(("data", key, position), f"the label {label!r} is in {other!r} too. Delete one of them.")


def check_loss(method: Component, has_loss: bool, registries: Registries, problems: Problems) -> None:
    """The recipe names a loss where, and only where, its method takes one."""
    if method.uses_loss and not has_loss:
        names = registries.loss.names()
        mend = f"Add loss: {{type: {names[0]}}}. There are {listing(names)}." if names else "None is registered."
        problems.add(("method", "type"), f"the method {method.name!r} needs a loss, and the recipe names none. {mend}")
    if has_loss and not method.uses_loss:
        problems.add(("loss",), f"the method {method.name!r} has its own loss. Delete this section.", at_key=True)


def check_loss_rate(rate: float | None, loss: Selection | None, problems: Problems) -> None:
    """A rate for the loss's own weights needs a loss that has some."""
    learns = loss.options.learns() if loss and isinstance(loss.options, LossOptions) else None
    if rate is not None and (loss is None or learns is False):
        whose = f"the loss {loss.type!r} has no weights of its own" if loss else "the recipe names no loss"
        problems.add(("train", "optimizer", "loss_lr"), f"{whose}. Delete this key.", at_key=True)


def check_structure(
    sampler: Component, takers: Sequence[Component], registries: Registries, problems: Problems
) -> None:
    """The sampler's batches have a structure that the method, or the loss it leaves that to, can use."""
    takes = [structure for taker in takers for structure in taker.takes]
    if sampler.yields is None or sampler.yields in takes:
        return
    taker = takers[-1]
    others = [other.name for other in registries.of(taker.kind) if sampler.yields in other.takes]
    samplers = [other.name for other in registries.sampler if other.yields in takes]
    problems.add(
        ("sampler", "type"),
        f"{sampler.name!r} yields {_told(sampler.yields)}, but the {taker.kind} {taker.name!r} takes "
        f"{' or '.join(_told(structure) for structure in takes) or 'nothing'}. "
        f"Samplers that fit it: {listing(samplers) or 'none'}. "
        f"A {taker.kind} that takes {_told(sampler.yields)}: {listing(others) or 'none'}.",
    )


def check_mining(sampler: Component, loss: Selection, registries: Registries, problems: Problems) -> None:
    """A loss that finds its pairs or triplets itself is given labels alone, and no option that then does nothing."""
    if not isinstance(loss.options, LossOptions) or sampler.yields is None:
        return
    if idle := loss.options.idle_key(sampler.yields):
        told = f"has no effect on what the sampler {sampler.name!r} yields: {_told(sampler.yields)}. Delete this key."
        problems.add(("loss", idle), told, at_key=True)
    key = loss.options.mining_key()
    if key is None or sampler.yields == "labels":
        return
    fitting = listing(other.name for other in registries.sampler if other.yields == "labels")
    problems.add(
        ("loss", key),
        f"finds pairs or triplets in a batch itself, but the sampler {sampler.name!r} yields {_told(sampler.yields)} "
        f"already. Delete loss.{key}, or take a sampler that yields labels: {fitting or 'none is registered'}.",
        at_key=True,
    )


def check_compose(train: TrainOptions, sampler: Component, problems: Problems) -> None:
    """Classes that are made for one step mean something within an episode alone."""
    if train.augment and train.augment.compose and sampler.yields != "episode":
        problems.add(
            ("train", "augment", "compose"),
            f"makes classes that last for one episode, and the sampler {sampler.name!r} yields no episodes. "
            "Delete this key, or take the sampler 'episodes'.",
            at_key=True,
        )


def check_what_is_drawn(data: DataOptions, embed: EmbedOptions, problems: Problems) -> None:
    """Classes that would be learned twice, or not at all, and views that would all be the same."""
    extra = data.extra_classes
    if extra and len(set(extra.rotations)) < len(extra.rotations):
        problems.add(("data", "extra_classes", "rotations"), "names a turn twice: name each once.")
    if extra and not extra.rotations and not extra.mirror:
        problems.add(
            ("data", "extra_classes"), "makes none. Give rotations or mirror: true, or delete this key.", at_key=True
        )
    if embed.warp and not any(value for _, value in embed.warp):
        problems.add(
            ("embed", "warp"),
            "changes nothing, so all views are one. Give degrees, scale, ..., or no views.",
            at_key=True,
        )


def check_points(points: Iterable[str], problems: Problems) -> None:
    """What is read as a number where it is asked for has to be one."""
    for name in points:
        if name and isinstance(plain_value(name), int | float):
            told = "a number is read as an alpha itself, so it names none. Give it another name."
            problems.add(("index", "operating_points", name), told, at_key=True)


def _told(structure: StructureKind) -> str:
    return "episodes" if structure == "episode" else structure
