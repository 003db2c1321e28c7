"""Training: seeded, watched, and resumable from any step to the same bits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.contracts import Batch, Build, Episode, Pairs, Register, Split
from nearkin.errors import DataError, PluginError, WorkFailed
from nearkin.hookspecs import hookimpl
from nearkin.model import Model, build_model
from nearkin.recipe.model import Selection
from nearkin.recipe.train_options import TrainOptions
from nearkin.training.checkpoint import Weights, copy_weights
from nearkin.training.checks import BatchCheck
from nearkin.training.frozen import always_the_same
from nearkin.training.images import LabelledImages
from nearkin.training.trainer import Progress, Trainer

CLASSES = ("a", "b", "c")


def images(split: Split, per_class: int = 4, seed: int = 0) -> LabelledImages:
    """Noise around a mean of its own for each class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per_class)
    pixels = (rng.random((len(labels), 1, 16, 16)) * 0.5 + labels[:, None, None, None] / 6).astype(np.float32)
    return LabelledImages(split, tuple(f"{split}/{i}" for i in range(len(labels))), pixels, labels)


class Exploding:
    """A plugin whose loss turns NaN or infinite at a step."""

    nearkin_api = 1

    def __init__(self, at_call: int, value: float, *, gradient_only: bool = False) -> None:
        self.calls = 0
        self.at_call, self.value, self.gradient_only = at_call, value, gradient_only

    @hookimpl
    def nearkin_losses(self, register: Register) -> None:
        register("exploding", lambda _options, _build: self.loss, takes=("pairs",), summary="Explodes.")

    def loss(self, embeddings: torch.Tensor, labels: torch.Tensor, indices_tuple: Any = None) -> torch.Tensor:
        self.calls += 1
        value = embeddings.square().mean()
        if self.calls < self.at_call:
            return value
        if self.gradient_only:
            return value + (embeddings * 0).abs().sqrt().sum() * 0  # sqrt has no finite slope at 0
        return value * self.value


def model(*plugins: Any, loss: str = "contrastive", seed: int = 0, **backbone: Any) -> Model:
    registries = load_registries(*plugins, entry_points=False)

    def chosen(kind: Any, name: str, **options: Any) -> Selection:
        return Selection(kind, name, registries.of(kind).get(name).options(**options))

    blueprint = Blueprint(
        seed,
        CLASSES,
        (chosen("backbone", "conv2", image_size=16, width=4, **backbone),),
        chosen("method", "embedding"),
        chosen("loss", loss),
    )
    return build_model(blueprint, registries)


def trainer(folder: Path, *, of: Model | None = None, select: bool = True, **options: Any) -> Trainer:
    train, net = images("train"), of or model()
    name = options.pop("sampler_type", "balanced_pairs")
    component = load_registries(entry_points=False).sampler.get(name)
    build = Build(seed=0, classes=CLASSES, labels=train.labels, input=net.input)
    settings = {"steps": 20, "early_stopping": {"every": 5, "patience": 100}, "checkpoint_every": 3, **options}
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(
        model=net,
        sampler=component.factory(component.options(**({"pairs": 8} if name == "balanced_pairs" else {})), build),
        train=train,
        select=images("select", seed=1) if select else None,
        options=TrainOptions(**settings),
        seed=0,
        metrics=folder / "metrics.jsonl",
        checkpoints=folder / "checkpoints",
        accelerator=Accelerator(cpu=True),
        check=BatchCheck(component, train.labels),
    )


def same(left: Weights, right: Weights) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def stopping_at(step: int) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise KilledError

    return on_step


class KilledError(Exception):
    """Stands for a kill: nothing after the step runs."""


EVERYTHING: dict[str, Any] = {
    "augment": {"degrees": 10.0, "shear": 5.0, "elastic": 0.02},
    "optimizer": {"type": "adamw"},
    "average": 0.9,
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Weights, str]:
    done = trainer(tmp_path_factory.mktemp("whole"), **EVERYTHING)
    done.run()
    return copy_weights(done.model), done.metrics.read_text()


@pytest.mark.parametrize("killed_at", range(1, 21))
def test_a_run_killed_at_any_step_resumes_to_the_same_bits(
    tmp_path: Path, killed_at: int, uninterrupted: tuple[Weights, str]
) -> None:
    options = EVERYTHING
    first = trainer(tmp_path, **options)
    first.on_step = stopping_at(killed_at)
    with pytest.raises(KilledError):
        first.run()
    second = trainer(tmp_path, of=model(seed=99), **options)  # other first weights: the checkpoint must bring all
    if not (second.checkpoints / "manifest.json").exists():
        second = trainer(tmp_path, **options)
    second.restore()
    second.run()
    weights, metrics = uninterrupted
    assert same(copy_weights(second.model), weights)
    assert second.metrics.read_text() == metrics


def test_the_average_is_kept_and_judged_in_place_of_the_last_weights(tmp_path: Path) -> None:
    states: list[Weights] = []
    made = trainer(tmp_path, average=0.5, select=False, steps=4)
    start = copy_weights(made.model)
    made.on_step = lambda _: states.append(copy_weights(made.model))
    made.run()
    name = next(name for name, tensor in start.items() if tensor.is_floating_point())
    expected = start[name].double()
    for step, state in enumerate(states):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * state[name].double()
    assert torch.allclose(made.model.state_dict()[name].double(), expected, atol=1e-6)
    judged = trainer(tmp_path / "judged", average=0.5, steps=5)
    judged.run()
    assert judged.average is not None
    assert same(copy_weights(judged.model), {k: v.contiguous() for k, v in judged.average.weights.items()})


def test_bfloat16_trains_to_about_the_same_losses_and_keeps_float32_weights(tmp_path: Path) -> None:
    for precision in ("float32", "bfloat16"):
        trainer(tmp_path / precision, precision=precision).run()
    lines = [
        [json.loads(line)["loss"] for line in (tmp_path / p / "metrics.jsonl").read_text().splitlines()]
        for p in ("float32", "bfloat16")
    ]
    assert lines[0] != lines[1]
    assert lines[0] == pytest.approx(lines[1], abs=0.05)


def frozen(net: Model, *, dropout: float = 0.0) -> Model:
    """Nothing of the backbone learns; a loss with weights of its own does."""
    backbone = net.backbone
    assert isinstance(backbone, torch.nn.Module)
    for module in (backbone, *backbone.modules()):
        module.requires_grad_(False)
        module.eval()
        module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]
    if dropout:
        backbone.dropped = torch.nn.Dropout(dropout)
    return net


def counting(net: Model, counts: list[int]) -> None:
    """Keeps how many images each call of the trunk is given."""
    trunk = cast(Any, net.backbone).trunk
    trunk.register_forward_pre_hook(lambda _module, given: counts.append(len(given[0])))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_head_on_a_frozen_trunk_learns_the_same_from_features_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, head: str
) -> None:
    outcomes, seen = [], []
    for name in ("once", "each"):
        net, counts = model(freeze="all", embedding_dim=8, head=head, normalize=True), []
        before = copy_weights(net)
        counting(net, counts)
        trainer(tmp_path / name, of=net, select=False, precision=precision, steps=60).run()
        after = copy_weights(net)
        assert any(not torch.equal(before[key], after[key]) for key in after if "head" in key)
        assert all(torch.equal(before[key], after[key]) for key in after if "blocks" in key)
        outcomes.append(after)
        seen.append(sum(counts))
        monkeypatch.setattr("nearkin.training.trainer.frozen_half", lambda _model: None)
    assert seen[0] == 12
    assert seen[1] > 300
    for key, value in outcomes[0].items():
        torch.testing.assert_close(value, outcomes[1][key], atol=1e-6, rtol=0)


def test_a_frozen_backbone_embeds_each_image_once_for_the_whole_training(tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {}
    outcomes = []
    for name, augment in (("once", None), ("each", {"degrees": 0.0})):
        net = frozen(model(loss="proxy_anchor"))
        counts = seen.setdefault(name, [])
        counting(net, counts)
        made = trainer(tmp_path / name, of=net, select=False, augment=augment, sampler_type="m_per_class")
        made.run()
        outcomes.append(copy_weights(made.model))
    assert sum(seen["once"]) == 12
    assert sum(seen["each"]) > 100
    learnt = [key for key in outcomes[0] if "proxies" in key]
    assert learnt
    for key in learnt:
        assert torch.allclose(outcomes[0][key], outcomes[1][key], atol=1e-4)


def test_what_learns_takes_statistics_or_drops_is_not_always_the_same() -> None:
    free = model().train().backbone
    assert not always_the_same(cast(torch.nn.Module, free))
    still = frozen(model())
    assert always_the_same(cast(torch.nn.Module, still.backbone))
    assert not always_the_same(cast(torch.nn.Module, frozen(model(), dropout=0.5).backbone))
    learning = frozen(model())
    next(cast(torch.nn.Module, learning.backbone).parameters()).requires_grad_(True)
    assert not always_the_same(cast(torch.nn.Module, learning.backbone))
    counting = model().requires_grad_(False).train().backbone
    assert not always_the_same(cast(torch.nn.Module, counting))


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = trainer(tmp_path / "1"), trainer(tmp_path / "2")
    one.run()
    two.run()
    assert same(copy_weights(one.model), copy_weights(two.model))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_every_optimizer_and_schedule_trains(tmp_path: Path, optimizer: str, schedule: str) -> None:
    made = trainer(tmp_path, optimizer={"type": optimizer}, schedule={"type": schedule, "warmup": 3})
    before = copy_weights(made.model)
    made.run()
    assert not same(before, copy_weights(made.model))
    rates = [json.loads(line)["learning_rate"] for line in made.metrics.read_text().splitlines()]
    assert rates[0] < rates[2] < rates[3] == pytest.approx(1e-3)
    assert (rates[-1] < rates[3]) == (schedule != "constant")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_at_once_with_step_and_items(tmp_path: Path, value: float) -> None:
    made = trainer(tmp_path, of=model(Exploding(4, value), loss="exploding"))
    with pytest.raises(WorkFailed, match=rf"loss is {value} at step 4;.*train/\d") as caught:
        made.run()
    assert "train.optimizer.lr" in str(caught.value)
    assert made.standing.step == 3
    assert all(torch.isfinite(tensor).all() for tensor in copy_weights(made.model).values())


def test_a_gradient_that_is_no_number_stops_before_the_weights_change(tmp_path: Path) -> None:
    made = trainer(tmp_path, of=model(Exploding(2, 1.0, gradient_only=True), loss="exploding"))
    with pytest.raises(WorkFailed, match="gradient is nan at step 2"):
        made.run()
    assert all(torch.isfinite(tensor).all() for tensor in copy_weights(made.model).values())


def test_gradients_are_clipped(tmp_path: Path) -> None:
    free, tight = trainer(tmp_path / "free"), trainer(tmp_path / "tight", clip_norm=1e-6, optimizer={"type": "sgd"})
    before = copy_weights(tight.model)
    free.run()
    tight.run()
    moved = max((copy_weights(tight.model)[k] - before[k]).abs().max() for k, _ in tight.model.named_parameters())
    assert 0 < moved < 1e-6


def test_the_best_weights_on_select_are_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    made = trainer(tmp_path, steps=200, early_stopping={"every": 2, "patience": 3})
    outcome = made.run()
    assert outcome.ended == "early stopping"
    lines = [json.loads(line) for line in made.metrics.read_text().splitlines()]
    looks = {line["step"]: line["select_pair_auc"] for line in lines if "select_pair_auc" in line}
    best = max(looks.values())
    assert outcome.standing.best_score == best
    assert looks[outcome.standing.best_step] == best
    first_best = min(step for step, score in looks.items() if score == best)
    assert lines[-1]["step"] == first_best + 2 * 3


def test_without_select_the_last_weights_are_kept(tmp_path: Path) -> None:
    outcome = trainer(tmp_path, select=False).run()
    assert outcome.ended == "steps done"
    assert outcome.standing.best_score is None


@pytest.mark.parametrize(("train", "select"), [("calibrate", "select"), ("test", "select"), ("train", "test")])
def test_images_of_calibrate_and_test_are_refused(tmp_path: Path, train: Split, select: Split) -> None:
    made = trainer(tmp_path)
    with pytest.raises(DataError, match="fits weights on train and chooses on select alone"):
        Trainer(**{**vars_of(made), "train": images(train), "select": images(select)})


def test_an_image_in_both_train_and_select_is_refused(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    twice = LabelledImages("select", made.train.keys, made.train.images, made.train.labels)
    with pytest.raises(DataError, match="both train and select: train/0"):
        Trainer(**{**vars_of(made), "select": twice})


class Misbehaving:
    """A sampler whose batches break their contract in one way."""

    steps_per_epoch = 1

    def __init__(self, batch: Any) -> None:
        self.given = batch

    def batch(self, step: int) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def pairs(items: list[int], *parts: list[int]) -> Batch:
    return Batch(np.array(items), Pairs(*(np.array(part, dtype=np.int64) for part in parts)))


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (None, "gave a NoneType"),
        (Batch(np.arange(3)), "says it yields pairs, and gave a NoneType"),
        (pairs([0, 0, 1], [0], [1], [0], [2]), "item twice"),
        (pairs([0, 1, 99], [0], [1], [0], [2]), "outside the 12 training images"),
        (pairs([0, 1, 4], [0], [1], [0], [3]), "outside its own batch of 3 items"),
        (pairs([0, 1, 4], [0], [0], [0], [2]), "an image with itself"),
        (pairs([0, 1, 4], [], [], [], []), "gave no pairs at all"),
        (pairs([0, 1, 4], [0, 1], [1], [0], [2]), "gave sides of 2, 1, 1, 1 positions"),
        (pairs([0, 1, 4], [0], [2], [0], [2]), "says of images of two classes that they are of one"),
        (pairs([0, 1, 4], [0], [1], [0], [1]), "says of images of one class that they are of two"),
        (pairs([], [], [], [], []), "a batch without items"),
        (Batch(np.arange(3) / 2, Pairs([0], [1], [0], [2])), "gave float64 of shape .3,. where positions are wanted"),
        (Batch(np.arange(3), Pairs(0, 1, 0, 2)), "where positions are wanted"),
        (KeyError("x"), "raised KeyError"),
    ],
)
def test_a_batch_that_breaks_its_contract_names_the_sampler(tmp_path: Path, batch: Any, said: str) -> None:
    made = trainer(tmp_path)
    made.sampler = Misbehaving(batch)
    with pytest.raises(PluginError, match=f"the sampler nearkin:balanced_pairs .*{said}"):
        made.run()


def test_positions_in_lists_tensors_and_narrow_arrays_are_as_good(tmp_path: Path) -> None:
    made = trainer(tmp_path, steps=2)
    sides = [0, 2], torch.tensor([1, 3]), np.array([1, 0], dtype=np.int32)[::-1], (2, 3)
    made.sampler = Misbehaving(Batch(cast(Any, [0, 1, 4, 5]), Pairs(*sides)))
    assert made.run().ended == "steps done"


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        (Episode([0, 1], []), "gave an episode of 2 support images and 0 queries"),
        (Episode([0, 1], [1, 2]), "in both support and query"),
        (Episode([0, 1], [2]), "asks about a class of which its support has no image"),
    ],
)
def test_an_episode_that_breaks_its_contract_names_the_sampler(structure: Episode, said: str) -> None:
    check = BatchCheck(load_registries(entry_points=False).sampler.get("episodes"), images("train").labels)
    with pytest.raises(PluginError, match=f"the sampler nearkin:episodes .*{said}"):
        check.batch(Misbehaving(Batch(np.array([0, 1, 4]), structure)), 0)


class Odd:
    """A plugin whose loss is no scalar with a gradient."""

    nearkin_api = 1

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    @hookimpl
    def nearkin_losses(self, register: Register) -> None:
        register("odd", lambda _options, _build: self.loss, takes=("pairs",), summary="Odd.")


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda e, _labels, indices_tuple=None: e, "a tensor of shape"),
        (lambda _e, _labels, indices_tuple=None: None, "a NoneType"),
        (lambda e, _labels, indices_tuple=None: e.detach().mean(), "no gradient flows from"),
        (
            lambda e, _labels, pairs=None: e.mean(),
            "method embedding with the loss odd raised TypeError: .*indices_tuple",
        ),
    ],
)
def test_a_loss_that_teaches_nothing_is_refused(tmp_path: Path, loss: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        trainer(tmp_path, of=model(Odd(loss), loss="odd")).run()


def vars_of(made: Trainer) -> dict[str, Any]:
    names = ("model", "sampler", "train", "select", "options", "seed", "metrics", "checkpoints", "accelerator", "check")
    return {name: getattr(made, name) for name in names}


def test_steps_of_an_epoch_follow_the_sampler(tmp_path: Path) -> None:
    made = trainer(tmp_path, steps=None, epochs=3)
    assert made.total == 3 * math.ceil(12 / 8)
