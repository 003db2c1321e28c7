"""The smallest recipe that trains, calibrates and is evaluated."""

from __future__ import annotations

TINY = """\
name: tiny
data: {source: digits, known: ["0", "1", "2"], shots: 3, select: 2, calibrate: 9, test: 12}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 6}
train: {steps: 3}
evaluate: [{type: clusters, resamples: 20}]
"""
