"""Every loss, as a recipe names it, is the library's: its value, its options, its parts, its memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from pytorch_metric_learning.losses import CrossBatchMemory
from torch import Tensor, nn

from nearkin.components.losses import make_loss, options_of
from nearkin.components.losses.notes import NOTES, RENAMED
from nearkin.components.losses.part_notes import PARTS
from nearkin.components.losses.tables import tables
from nearkin.contracts import Build, LossOptions
from nearkin.errors import UsageError, WorkFailed
from nearkin.modes import seeded
from nearkin.training.selection import pair_auc
from tests.components.losses import library
from tests.components.losses.library import CLASSES, DIMS, DRAWS, LABELS, STRUCTURES, embeddings

NAMES = sorted(NOTES)
BUILD = Build(seed=0, classes=tuple("abcd"[:CLASSES]), embedding_dim=DIMS)
REQUIRED: Mapping[str, Mapping[str, Any]] = {"ranked_list": {"margin": 0.4, "Tn": 10.0}}
WITH: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("margin", "nu"): {"learn_beta": True},
    ("margin", "learn_beta"): {"nu": 1.0},
    ("pnp", "b"): {"variant": "Ib"},
    ("pnp", "alpha"): {"variant": "Dq"},
}
"""(loss, argument) -> what else must be said for it to matter."""
OTHER: Mapping[tuple[str, str], Any] = {
    ("angular", "alpha"): 30.0,
    ("dynamic_soft_margin", "min_val"): -3.0,
    ("margin", "beta"): 0.9,
    ("ranked_list", "alpha"): 1.5,
    ("ranked_list", "Tp"): 2.0,
    ("histogram", "n_bins"): 37,
}
"""Another value, where the next one would not do."""
PART_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "threshold": {"low": 0.01},
    "class_weighted": {"weights": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}},
}


def options(name: str, **said: Any) -> LossOptions:
    """The options of a loss, as read from a recipe."""
    made = options_of(name).model_validate_json(json.dumps({**REQUIRED.get(name, {}), **said}))
    assert isinstance(made, LossOptions)
    return made


def built(name: str, **said: Any) -> nn.Module:
    """The loss; weights follow one seed, as the library's do in `library.make`."""
    with seeded(0):
        made: Any = make_loss(name, options(name, **said), BUILD)
    assert isinstance(made, nn.Module)
    return made


def run(loss: nn.Module, structure: Any = None, labels: Tensor = LABELS) -> list[float]:
    """Its values over several draws, one after another."""
    return [one_step(loss, draw, structure, labels)[0] for draw in range(DRAWS)]


def one_step(loss: nn.Module, draw: int, structure: Any = None, labels: Tensor = LABELS) -> tuple[float, Tensor]:
    """Value and gradient."""
    vectors = embeddings(draw).requires_grad_()
    torch.default_generator.manual_seed(draw)
    made = loss(vectors, labels, structure)
    (gradient,) = torch.autograd.grad(made.sum(), vectors)
    return float(made.detach()), gradient


def other(name: str, argument: str, annotation: Any, default: Any) -> Any:
    """A valid value that is not the default."""
    if (name, argument) in OTHER:
        return OTHER[name, argument]
    choices = [choice for part in (annotation, *get_args(annotation)) for choice in get_args(part)]
    texts = [choice for choice in choices if isinstance(choice, str) and choice != default]
    if isinstance(default, bool) or annotation is bool:
        return not default
    if isinstance(default, str):
        return texts[0] if texts else 1
    return default + 1 if "int" in str(annotation) else round(0.5 * default + 0.07, 4)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_librarys_for_every_structure_it_takes(name: str) -> None:
    for structure in [None, *(STRUCTURES[kind][0] for kind in tables()["loss"][name].takes if kind != "labels")]:
        theirs = library.make("loss", NOTES[name].library)
        expected = [library.value(theirs, draw, structure)[0] for draw in range(DRAWS)]
        assert run(built(name), structure) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_its_gradients_are_finite_and_not_zero(name: str) -> None:
    for structure in [None, *(STRUCTURES[kind][0] for kind in tables()["loss"][name].takes if kind != "labels")]:
        loss = built(name)
        gradients = [one_step(loss, draw, structure)[1] for draw in range(DRAWS)]
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        assert any(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_option_is_refused(name: str) -> None:
    fields = options_of(name).model_fields
    wrong: dict[str, Any] = {f"{field}x": 1 for field in fields}
    for said in [{key: value} for key, value in wrong.items()]:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            options(name, **said)
    for key in {"distance", "reducer", "miner", "embedding_regularizer", "weight_regularizer"} & set(fields):
        with pytest.raises(ValidationError):
            options(name, **{key: {"type": "no_such"}})


def arguments() -> Iterator[tuple[str, str]]:
    for name in NAMES:
        for argument in NOTES[name].arguments:
            yield name, argument


@pytest.mark.parametrize(("name", "argument"), list(arguments()))
def test_a_changed_option_changes_the_value_to_the_librarys(name: str, argument: str) -> None:
    said = dict(WITH.get((name, argument), {}))
    if argument in RENAMED:
        said["learn_beta"] = True
    annotation = NOTES[name].arguments[argument][0]
    default = {**tables()["loss"][name].arguments, **REQUIRED.get(name, {})}[argument]
    value = other(name, argument, annotation, default)
    changed = built(name, **said, **{RENAMED.get(argument, argument): value})
    if argument in RENAMED:  # As many boundaries as classes, all alike at the start.
        assert changed.get_parameter("loss.beta").shape == (CLASSES,)
        return
    theirs = library.make("loss", NOTES[name].library, **{**said, argument: value})
    found = run(changed)
    assert found == pytest.approx([library.value(theirs, draw)[0] for draw in range(DRAWS)], rel=1e-4)
    # A penalty on learned boundaries alone is refused, so what is learned goes with it.
    assert library.differ(run(built(name, **({} if argument == "learn_beta" else said))), found)


@pytest.mark.parametrize("name", NAMES)
def test_every_part_it_accepts_is_the_librarys(name: str) -> None:
    entry, seen = tables()["loss"][name], []
    for key, slot in entry.slots.items():
        for part in slot.accepts:
            said = {"type": part, **PART_ARGUMENTS.get(part, {})}
            if (key, name) == ("distance", "fast_ap") or not hasattr(options(name), key):
                continue
            given = {"centers_per_class": entry.arguments.get("centers_per_class", entry.arguments.get("sub_centers"))}
            theirs_part = library.part(slot.kind, part, **(given if part == "sparse_centers" else {}))
            margins = {"pos_margin": 1.0, "neg_margin": 0.0} if _similarity(key, part, entry.arguments) else {}
            theirs = library.make("loss", NOTES[name].library, **margins, **{key: theirs_part})
            found = run(built(name, **margins, **{key: said}))
            assert found == pytest.approx([library.value(theirs, draw)[0] for draw in range(DRAWS)], rel=1e-4)
            seen.append(found)
    assert any(library.differ(run(built(name)), found) for found in seen)


def _similarity(key: str, part: str, arguments: Mapping[str, Any]) -> bool:
    return key == "distance" and part in ("cosine", "dot_product") and "pos_margin" in arguments


@pytest.mark.parametrize("name", [name for name in NAMES if tables()["loss"][name].mines])
def test_every_miner_chooses_as_the_librarys(name: str) -> None:
    for miner in PARTS["miner"]:
        found = run(built(name, miner={"type": miner}))
        theirs, mine = library.make("loss", NOTES[name].library), library.part("miner", miner)
        for draw in range(DRAWS):
            torch.default_generator.manual_seed(draw)
            chosen = mine(embeddings(draw), LABELS)
            # Some losses draw too: both sides draw in the same order.
            expected = float(theirs(embeddings(draw), LABELS, chosen).detach())
            assert found[draw] == pytest.approx(expected, rel=1e-4, abs=1e-6), (miner, draw)


SPECIAL: Mapping[str, Any] = {
    "allowed_pos_range": [0.5, 1.2],
    "allowed_neg_range": [0.5, 1.2],
    "pos_strategy": "hard",
    "neg_strategy": "hard",
}


def miner_options() -> Iterator[tuple[str, str]]:
    for miner, note in PARTS["miner"].items():
        for argument in note.arguments:
            yield miner, argument


@pytest.mark.parametrize(("miner", "argument"), list(miner_options()))
def test_every_option_of_a_miner_reaches_the_library(miner: str, argument: str) -> None:
    annotation = PARTS["miner"][miner].arguments[argument][0]
    default = tables()["miner"][miner].arguments[argument]
    value = SPECIAL[argument] if argument in SPECIAL else other(miner, argument, annotation, default)
    found = run(built("triplet_margin", miner={"type": miner, argument: value}))
    theirs, mine = library.make("loss", "TripletMarginLoss"), library.part("miner", miner, **{argument: value})
    for draw in range(DRAWS):
        torch.default_generator.manual_seed(draw)
        expected = float(theirs(embeddings(draw), LABELS, mine(embeddings(draw), LABELS)))
        assert found[draw] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "n_pairs"])
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    """But to n_pairs, which takes the first pair of each class."""
    order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(3))
    for draw in range(DRAWS):
        straight = built(name)(embeddings(draw), LABELS)
        turned = built(name)(embeddings(draw)[order], LABELS[order])
        assert float(straight) == pytest.approx(float(turned), rel=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "intra_pair_variance"])
def test_following_it_brings_classes_together(name: str) -> None:
    """But for intra_pair_variance, which only narrows each kind of pair. Sixteen free vectors need no second centre."""
    one_center = {"soft_triple": {"centers_per_class": 1}, "subcenter_arcface": {"sub_centers": 1}}
    vectors, loss = embeddings(0).requires_grad_(), built(name, **one_center.get(name, {}))
    optimizer = torch.optim.Adam([vectors, *loss.parameters()], lr=0.05)
    metric = options(name).comparison()
    before = pair_auc(vectors.detach().numpy(), LABELS.numpy(), (metric and metric.metric) or "l2")
    for step in range(60):
        order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss(vectors[order], LABELS[order]).sum().backward()
        optimizer.step()
    after = pair_auc(vectors.detach().numpy(), LABELS.numpy(), (metric and metric.metric) or "l2")
    assert after > max(0.75, before)


@pytest.mark.parametrize("name", [name for name in NAMES if options(name).learns()])
def test_its_own_weights_learn(name: str) -> None:
    loss = built(name)
    loss(embeddings(0), LABELS).sum().backward()
    for parameter in loss.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, {}) for name in NAMES),
        *((name, {"memory": {"size": 40}}) for name in NAMES if tables()["loss"][name].memory),
        ("triplet_margin", {"memory": {"size": 40}, "miner": {"type": "batch_hard"}}),
    ],
)
def test_all_it_remembers_is_in_its_state(name: str, said: dict[str, Any]) -> None:
    """So a resumed run goes on to the same bits."""
    going, fresh = built(name, **said), make_loss(name, options(name, **said), BUILD)
    assert isinstance(fresh, nn.Module)
    for draw in range(3):
        one_step(going, draw)
    fresh.load_state_dict({key: tensor.clone() for key, tensor in going.state_dict().items()})
    for draw in range(3, 6):
        (value, gradient), (again, same) = one_step(going, draw), one_step(fresh, draw)
        assert value == again
        assert torch.equal(gradient, same)


def test_cross_batch_memory_is_the_librarys() -> None:
    mine = built("contrastive", memory={"size": 40}, miner={"type": "pair_margin"})
    inner, miner = library.make("loss", "ContrastiveLoss"), library.part("miner", "pair_margin")
    theirs = CrossBatchMemory(inner, DIMS, 40, miner)
    for draw in range(4):
        assert one_step(mine, draw)[0] == pytest.approx(float(theirs(embeddings(draw), LABELS)), rel=1e-4)


def test_a_memory_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(WorkFailed, match=r"16 images of 4 classes.*memory.size is 8, less than a batch"):
        built("contrastive", memory={"size": 8})(embeddings(0), LABELS)


def test_smooth_ap_is_the_papers_and_refuses_what_the_library_gets_wrong() -> None:
    order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(3))
    vectors, labels = embeddings(0)[order], LABELS[order]
    assert float(built("smooth_ap")(vectors, labels)) == pytest.approx(_smooth_ap(vectors.numpy(), labels.numpy()))
    with pytest.raises(WorkFailed, match="as many classes as images of each"):
        built("smooth_ap")(embeddings(0)[:12], LABELS[:12])


def _smooth_ap(vectors: np.ndarray, labels: np.ndarray, temperature: float = 0.01) -> float:
    """Brown et al. 2020, eq. 8, in float64."""
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    similar, precisions = unit @ unit.T, []
    for query, row in enumerate(similar):
        before = 1 / (1 + np.exp(-(row[None, :] - row[:, None]) / temperature))
        np.fill_diagonal(before, 0)
        same = labels == labels[query]
        precisions.append(np.mean((1 + before[:, same].sum(axis=1))[same] / (1 + before.sum(axis=1))[same]))
    return 1 - float(np.mean(precisions))


def test_embeddings_all_but_equal_do_not_end_a_training_by_histogram_loss() -> None:
    vectors = embeddings(0)
    vectors[1] = vectors[0] * 1.0000001
    loss = built("histogram")
    assert torch.isfinite(loss(vectors, LABELS))
    assert torch.isfinite(loss(torch.ones(16, DIMS), LABELS))


def test_class_weights_go_by_label_and_name_every_class() -> None:
    weights = {"d": 4.0, "a": 1.0, "c": 3.0, "b": 2.0}
    built("contrastive", reducer={"type": "class_weighted", "weights": weights})
    for wrong in ({"a": 1.0}, {**weights, "e": 1.0}):
        with pytest.raises(UsageError, match=r"class_weighted: no .* Give weights for a, b, c, d"):
            built("contrastive", reducer={"type": "class_weighted", "weights": wrong})


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("contrastive", {"distance": {"type": "cosine"}}, "Try pos_margin 1, neg_margin 0"),
        ("margin", {"beta_per_class": True}, "beta_per_class needs learn_beta"),
        (
            "soft_triple",
            {"centers_per_class": 1, "weight_regularizer": {"type": "sparse_centers"}},
            "centers_per_class must be at least 2",
        ),
        ("triplet_margin", {"reducer": {"type": "threshold"}}, "give low, high, or both"),
        ("triplet_margin", {"reducer": {"type": "threshold", "low": 1.0, "high": 0.5}}, "low 1 must be below high 0.5"),
        (
            "triplet_margin",
            {"miner": {"type": "batch_easy_hard", "pos_strategy": "semihard"}},
            "semihard is relative to one choice",
        ),
        ("triplet_margin", {"miner": {"type": "batch_hard", "allowed_pos_range": [1.0, 0.5]}}, "from below to"),
        ("triplet_margin", {"margin": 0}, "greater than 0"),
        ("circle", {"embedding_reg_weight": 3.0}, "there is not: give embedding_regularizer, or delete"),
        ("arcface", {"weight_reg_weight": 0.5, "embedding_regularizer": {"type": "lp"}}, "give weight_regularizer"),
        ("margin", {"nu": 0.5}, "learned boundaries: give learn_beta, or delete nu"),
        ("margin", {"triplets_per_anchor": 5, "memory": {"size": 64}}, "and memory chooses them: delete memory, or"),
        ("triplet_margin", {"triplets_per_anchor": 5, "miner": {"type": "batch_hard"}}, "and miner chooses them"),
        ("pnp", {"b": 3.0}, "the variant Ib, and this is O: give variant: Ib, or delete b"),
        ("pnp", {"alpha": 3.0, "variant": "Ib"}, "give variant: Dq, or delete alpha"),
        ("triplet_margin", {"distance": {"type": "snr", "normalize_embeddings": False, "p": 1.0}}, "p is the norm"),
        (
            "triplet_margin",
            {"miner": {"type": "triplet_margin", "type_of_triplets": "hard", "margin": 0.5}},
            "leaves hard triplets as they are",
        ),
        ("triplet_margin", {"reducer": {"type": "divisor"}}, "does not match any of the expected tags"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_read(name: str, said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        options(name, **said)


@pytest.mark.parametrize("name", NAMES)
def test_options_that_are_all_written_out_are_read_again(name: str) -> None:
    """As a run's own recipe has them: an idle default is no wish."""
    made = options(name)
    assert type(made).model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_the_share_of_active_triplets_is_counted_and_none_found_is_zero() -> None:
    loss: Any = built("triplet_margin", margin=0.2)
    vectors = embeddings(0)
    loss(vectors, LABELS)
    distances = torch.cdist(*[nn.functional.normalize(vectors)] * 2)
    same = LABELS[:, None] == LABELS[None, :]
    costs = distances[:, :, None] - distances[:, None, :] + 0.2
    triplets = same[:, :, None] & ~same[:, None, :] & ~torch.eye(16, dtype=torch.bool)[:, :, None]
    assert loss.activity() == pytest.approx(float((costs[triplets] > 0).float().mean()))
    loss(torch.eye(4).repeat_interleave(4, dim=0), LABELS)
    assert loss.activity() == 0
    loss(vectors[:4], LABELS[:4])
    assert loss.activity() == 0
    picky: Any = built("contrastive", miner={"type": "pair_margin", "pos_margin": 3.0, "neg_margin": -1.0})
    picky(vectors, LABELS)
    assert picky.activity() == 0
    softmax: Any = built("arcface")
    softmax(vectors, LABELS)
    assert softmax.activity() is None
