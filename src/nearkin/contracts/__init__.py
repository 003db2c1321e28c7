"""What each part promises the others: options, components, batches, Protocols, answers, figures.

Nothing heavy is imported here: arrays and tensors are named for the type checker only, so that a plugin can be
listed and a recipe validated without torch.

Shapes: b (batch), n (items), q (queries), s (support), c (classes), d (dims).
"""

from __future__ import annotations

from nearkin.contracts.answers import Answer, Neighbor, Promise, Way
from nearkin.contracts.batches import Batch, Episode, Pairs, Structure, Triplets
from nearkin.contracts.components import API_VERSION, Build, Component, Factory, Kind, OptionsSource, Register
from nearkin.contracts.engines import Engine, EngineChoice, Hits
from nearkin.contracts.figures import Compare, Evaluator, Figure, LabelledEmbeddings, QueryableIndex, View
from nearkin.contracts.losses import Comparison, ComparisonOptions, LossOptions, Normalize
from nearkin.contracts.parts import Active, Backbone, Embed, Embedded, Halved, Loss, Method, Sampler
from nearkin.contracts.scores import FittedScore, Score, ScoreChoice
from nearkin.contracts.types import (
    ClassRule,
    FloatArray,
    ImageLike,
    InputSpec,
    IntArray,
    Metric,
    Options,
    PartOptions,
    Split,
    Status,
    StructureKind,
    parent_of,
)

__all__ = [
    "API_VERSION",
    "Active",
    "Answer",
    "Backbone",
    "Batch",
    "Build",
    "ClassRule",
    "Compare",
    "Comparison",
    "ComparisonOptions",
    "Component",
    "Embed",
    "Embedded",
    "Engine",
    "EngineChoice",
    "Episode",
    "Evaluator",
    "Factory",
    "Figure",
    "FittedScore",
    "FloatArray",
    "Halved",
    "Hits",
    "ImageLike",
    "InputSpec",
    "IntArray",
    "Kind",
    "LabelledEmbeddings",
    "Loss",
    "LossOptions",
    "Method",
    "Metric",
    "Neighbor",
    "Normalize",
    "Options",
    "OptionsSource",
    "Pairs",
    "PartOptions",
    "Promise",
    "QueryableIndex",
    "Register",
    "Sampler",
    "Score",
    "ScoreChoice",
    "Split",
    "Status",
    "Structure",
    "StructureKind",
    "Triplets",
    "View",
    "Way",
    "parent_of",
]
