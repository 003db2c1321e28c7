"""What every method promises."""

from __future__ import annotations

import torch

from nearkin.contracts import Build, Method, StructureKind
from nearkin.functional import class_scores
from nearkin.making import method_problem
from nearkin.testing.material import LABELS, a_build, embeddings, structure_of


class MethodContract:
    """Subclass, name the structure it takes, and implement `make`."""

    takes: StructureKind = "labels"

    def make(self, build: Build) -> Method:
        """The method for embeddings of `build.embedding_dim`."""
        raise NotImplementedError("say how your method is made")

    def test_it_names_a_metric_and_a_class_rule(self) -> None:
        """The index needs both; and weights are in a torch module, where they learn and are saved."""
        assert method_problem(self.make(a_build())) == ""

    def test_the_loss_has_finite_gradients_that_are_not_zero(self) -> None:
        """It teaches the backbone something."""
        vectors = embeddings().requires_grad_()
        value = self.make(a_build()).loss(vectors, torch.from_numpy(LABELS), structure_of(self.takes))
        assert value.ndim == 0
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        assert torch.isfinite(value)
        assert vectors.grad is not None
        assert torch.isfinite(vectors.grad).all()
        assert vectors.grad.abs().sum() > 0

    def test_an_embedding_is_transformed_the_same_alone_or_in_a_batch(self) -> None:
        """The index holds rows that were transformed in other company."""
        method, vectors = self.make(a_build()), embeddings()
        with torch.inference_mode():
            together = method.transform(vectors)
            alone = torch.cat([method.transform(row[None]) for row in vectors])
        assert together.shape == vectors.shape
        assert torch.allclose(together, alone, atol=1e-6)

    def test_a_query_scores_the_same_alone_or_in_a_batch(self) -> None:
        """No method may look at the other queries."""
        scores = self._scores()
        method, labels = self.make(a_build()), torch.from_numpy(LABELS)
        with torch.inference_mode():
            queries, support = method.transform(embeddings(5, seed=1)), method.transform(embeddings())
            alone = torch.cat([method.compare(query[None], support, labels) for query in queries])
        assert scores.shape == (5, 3)
        assert torch.allclose(scores, alone, atol=1e-5)

    def test_the_index_would_name_the_same_class(self) -> None:
        """It answers by the metric and the class rule alone; a method without an index is not asked."""
        method, labels = self.make(a_build()), torch.from_numpy(LABELS)
        if getattr(method, "no_index", ""):
            return
        with torch.inference_mode():
            queries, support = method.transform(embeddings(50, seed=1)), method.transform(embeddings())
            by_index = class_scores(queries, support, labels, metric=method.metric, rule=method.class_rule)
            assert torch.equal(method.compare(queries, support, labels).argmax(dim=1), by_index.argmax(dim=1))

    def test_permuting_the_classes_permutes_the_scores(self) -> None:
        """Class codes are names, not numbers."""
        turned = self._scores(torch.from_numpy((LABELS + 1) % 3))
        assert torch.allclose(self._scores(), turned[:, [1, 2, 0]], atol=1e-5)

    def test_an_image_of_the_support_is_closest_to_its_own_class(self) -> None:
        """Higher is closer."""
        method, labels = self.make(a_build()), torch.from_numpy(LABELS)
        far_apart = embeddings() + 10 * torch.nn.functional.one_hot(labels, embeddings().shape[1])
        with torch.inference_mode():
            support = method.transform(far_apart)
            assert (method.compare(support, support, labels).argmax(dim=1) == labels).all()

    def _scores(self, labels: torch.Tensor | None = None) -> torch.Tensor:
        method = self.make(a_build())
        labels = torch.from_numpy(LABELS) if labels is None else labels
        with torch.inference_mode():
            queries, support = method.transform(embeddings(5, seed=1)), method.transform(embeddings())
            return method.compare(queries, support, labels)
