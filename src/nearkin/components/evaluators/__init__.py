"""The built-in evaluators."""

from __future__ import annotations

from nearkin.components.evaluators.options import (
    EpisodesOptions,
    NWayExamOptions,
    ResampledOptions,
    RetrievalOptions,
    VerificationOptions,
)
from nearkin.contracts import Build, Evaluator, Register


def register_evaluators(register: Register) -> None:
    """Every one of them, in the order that they are listed in."""
    register(
        "n_way_exam",
        make_n_way_exam,
        options=NWayExamOptions,
        summary="One image, n_way choices, one of the same class: how often the nearest choice is the right one.",
    )
    register(
        "episodes",
        make_episodes,
        options=EpisodesOptions,
        summary="N-way K-shot accuracy by the method's own rule, on new classes where there are any.",
    )
    register(
        "clusters",
        make_clusters,
        options=ResampledOptions,
        summary="Nearest-cluster accuracy, recall a class, and the confusion matrix with an unknown column.",
    )
    register(
        "open_set",
        make_open_set,
        options=ResampledOptions,
        summary="Unknowns against knowns: AUROC, AUPR, FPR at 95% TPR, OSCR, AURC; flags beside what alpha allows.",
    )
    register(
        "retrieval",
        make_retrieval,
        options=RetrievalOptions,
        summary="Precision at 1, R-precision, MAP@R and recall at k among the test images; ties in expectation.",
    )
    register(
        "verification",
        make_verification,
        options=VerificationOptions,
        summary="Pairs, same class or not: ROC AUC, equal error rate, TAR at FAR, accuracy at a threshold from select.",
    )


def make_n_way_exam(options: NWayExamOptions, _build: Build) -> Evaluator:
    """The exam as the options say."""
    from nearkin.components.evaluators.n_way_exam import NWayExam

    return NWayExam(options)


def make_episodes(options: EpisodesOptions, _build: Build) -> Evaluator:
    """The few-shot task as the options say."""
    from nearkin.components.evaluators.episodes import Episodes

    return Episodes(options)


def make_clusters(options: ResampledOptions, _build: Build) -> Evaluator:
    """The cluster figures."""
    from nearkin.components.evaluators.clusters import Clusters

    return Clusters(options)


def make_open_set(options: ResampledOptions, _build: Build) -> Evaluator:
    """The figures about unknowns."""
    from nearkin.components.evaluators.open_set import OpenSet

    return OpenSet(options)


def make_retrieval(options: RetrievalOptions, _build: Build) -> Evaluator:
    """The retrieval figures."""
    from nearkin.components.evaluators.retrieval import Retrieval

    return Retrieval(options)


def make_verification(options: VerificationOptions, _build: Build) -> Evaluator:
    """The figures about pairs."""
    from nearkin.components.evaluators.verification import Verification

    return Verification(options)
