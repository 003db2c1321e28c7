"""Contract suites: subclass one in your plugin's tests, say how to make your component, and pytest does the rest.

class TestMySampler(SamplerContract):
    def make(self, build):
        return make_my_sampler(MySamplerOptions(), build)
"""

from __future__ import annotations

from nearkin.testing.backbone import BackboneContract
from nearkin.testing.engine import EngineContract
from nearkin.testing.evaluator import EvaluatorContract
from nearkin.testing.loss import LossContract
from nearkin.testing.method import MethodContract
from nearkin.testing.sampler import SamplerContract
from nearkin.testing.score import ScoreContract

__all__ = [
    "BackboneContract",
    "EngineContract",
    "EvaluatorContract",
    "LossContract",
    "MethodContract",
    "SamplerContract",
    "ScoreContract",
]
