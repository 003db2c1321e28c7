"""Full context embeddings: support seen together, queries seen in its light.

Vinyals et al. 2016, section 2.1.2 and appendix A: g is a bidirectional LSTM over the support, f an LSTM that attends
over g of the support for a number of steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FullContext(nn.Module):
    """(q, d) f'(x) and (s, d) g'(x_i) -> f(x, S) and g(x_i, S), of the same shapes. The support's order matters."""

    def __init__(self, dims: int, steps: int) -> None:
        super().__init__()
        self.dims, self.steps = dims, steps
        self.over_support = nn.LSTM(dims, dims, bidirectional=True)
        # LSTM(x, [h, r], c) of eq. 3: what is read, r, is one more input of the cell.
        self.over_query = nn.LSTMCell(2 * dims, dims)

    def forward(self, queries: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        """f(x, S) of the queries, g(x_i, S) of the support."""
        in_context = self.embed_support(support)
        return self.embed_queries(queries, in_context), in_context

    def embed_support(self, support: Tensor) -> Tensor:
        """g(x_i, S) = forward h_i + backward h_i + g'(x_i) (appendix A.2): (s, d) -> (s, d)."""
        both, _ = self.over_support(support)
        summed: Tensor = both[:, : self.dims] + both[:, self.dims :] + support
        return summed

    def embed_queries(self, queries: Tensor, support: Tensor) -> Tensor:
        """f(x, S) = attLSTM(f'(x), g(S), steps) (eq. 3 to 6): (q, d), (s, d) in context -> (q, d).

        Each query goes its own way: no query sees another.
        """
        hidden = cell = read = torch.zeros_like(queries)
        for _ in range(self.steps):
            made, cell = self.over_query(torch.cat([queries, read], dim=1), (hidden, cell))
            hidden = made + queries  # eq. 4
            read = (hidden @ support.T).softmax(dim=1) @ support  # eq. 5 and 6
        return hidden
