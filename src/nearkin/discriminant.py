"""Linear discriminant analysis from a few labelled images: what their warped looks differ in counts less.

With one image a class nothing says how a class varies, but the looks at each image do: directions in which looks at
the same class scatter are shrunk (Fisher 1936, with the looks as each class's sample), the origin is the middle of the
classes, and length is dropped. Only the support is looked at, so a query scores the same whatever it is asked with.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.functional import class_means

NEGLIGIBLE = 1e-5
"""Scatter along a direction, as a share of the largest, below which it is rounding."""


def discriminated(
    queries: Tensor, support: Tensor, labels: Tensor, *, views: int, ridge: float
) -> tuple[Tensor, Tensor]:
    """(q, views * d), (s, views * d), (s,) codes 0..c-1 -> (q, d), (s, d) of unit length, for any distance.

    `ridge`: this share of the scatter of a direction, in the mean over all of them, is added to each.
    """
    looks = support.reshape(len(support), views, -1)
    means = looks.mean(dim=1)
    of_class = class_means(means, labels)
    apart = (looks - of_class[labels][:, None]).flatten(0, 1)
    directions, scatter = principal(apart / len(apart) ** 0.5)
    added = ridge * scatter.sum() / means.shape[1]
    kept = (added / (scatter + added)).sqrt()

    def mapped(points: Tensor) -> Tensor:
        centred = points - of_class.mean(dim=0)
        return F.normalize(centred - (centred @ directions.T * (1 - kept)) @ directions, dim=1)

    return mapped(queries.reshape(len(queries), views, -1).mean(dim=1)), mapped(means)


def principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(n, d) -> (r, d) orthonormal directions that the rows fill, (r,) the sum of their squares along each.

    From the (n, n) products, of which there are fewer than (d, d) where few images are given.
    """
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    filled = values > NEGLIGIBLE * values.max()
    values, vectors = values[filled], vectors[:, filled]
    return (vectors / values.sqrt()).T @ rows, values
