"""Ranks and alphas of a LoRA whose modules have several, as sd-scripts' `conv_dim` gives them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Strengths:
    """Ranks and alphas of a LoRA's modules: the most frequent ones, and those of other modules.

    Attributes:
        rank: of all modules that `ranks` does not name.
        alpha: of all modules that `alphas` does not name.
        ranks: other ranks by module.
        alphas: other alphas by module.
    """

    rank: int
    alpha: float
    ranks: dict[str, int]
    alphas: dict[str, float]

    @classmethod
    def of(
        cls,
        ranks: Mapping[str, int],
        alphas: Mapping[str, float],
    ) -> Strengths:
        """From the rank and the alpha of every module."""
        rank = _most_frequent(ranks.values())
        alpha = _most_frequent(alphas.values())
        other_ranks = {}
        for module, own_rank in ranks.items():
            if own_rank != rank:
                other_ranks[module] = own_rank
        other_alphas = {}
        for module, own_alpha in alphas.items():
            if own_alpha != alpha:
                other_alphas[module] = own_alpha
        return cls(
            rank,
            alpha,
            other_ranks,
            other_alphas,
        )


def _most_frequent(values: Iterable[_Number]) -> _Number:
    """The most frequent value; of equally frequent ones the largest."""
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], value))
