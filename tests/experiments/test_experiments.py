"""Repeated trainings: every setting is trained and measured, and means are over what was drawn independently."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from nearkin.experiments import mean_over, repeat

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1"], shots: 3, select: 2, calibrate: 9, test: 12}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 6}
train: {steps: 2}
evaluate: [{type: clusters, resamples: 20}]
"""


def test_the_mean_over_draws_is_students() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 12).tolist()
    found = mean_over(values, range(12))
    low, high = stats.t.interval(0.95, 11, np.mean(values), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert (found.least, found.most) == (min(values), max(values))


def test_seeds_of_one_draw_do_not_count_as_draws() -> None:
    few = mean_over([0.5, 0.5, 0.5, 0.9, 0.9, 0.9], ["a", "a", "a", "b", "b", "b"])
    assert few.draws == 2
    assert few.high - few.low > 1
    assert mean_over([0.5], ["a"]).high == math.inf


def test_values_and_draws_must_match() -> None:
    with pytest.raises(ValueError, match="2 values for 1 draws"):
        mean_over([1.0, 2.0], ["a"])


def test_every_setting_is_trained_and_measured(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    told: list[str] = []
    settings = [{"seed": 0}, {"seed": 1, "data.known": ["3", "4"]}]
    done = repeat(tmp_path / "tiny.yaml", settings, runs=tmp_path / "runs", message=told.append)
    assert [one.settings for one in done] == settings
    assert len(told) == 2
    assert 0 <= done[0].figure("cluster_accuracy")["value"] <= 1
    assert done[1].figure("recall_3", "pixels")["n"] == 12
    with pytest.raises(KeyError, match="there are"):
        done[0].figure("recall_3")
