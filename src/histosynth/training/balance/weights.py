"""Fairness to the few: how often tiles of rare labels are drawn, and who is too few to be learnt.

Drawing a rare label more often shows the same few patients more often: it balances what is seen,
adds nothing to what is known, and makes copying likelier. So the draws of a tile are told beside
the shares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import BadOption, BadRecipe

NO_LABEL = "not stated"
"""What tiles without a label are called in tables."""


@dataclass(frozen=True)
class LabelDraws:
    """How one label's tiles are drawn.

    Attributes:
        label: name; "" where none is known.
        tiles: how many there are.
        patients: how many they come from.
        share: part of all draws that are of this label, 0..1.
        per_tile: mean draws of one of its tiles in an epoch, which has as many draws as there are
            tiles.
        most: draws of the tile that is drawn most often.
        effective_tiles: as many tiles drawn alike would vary as much (Kish 1965): (sum p)^2 / sum
            p^2.
    """

    label: str
    tiles: int
    patients: int
    share: float
    per_tile: float
    most: float
    effective_tiles: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def shares_by_label(
    labels: Sequence[str], shares: Sequence[float] | NDArray[np.float64], *, strength: float
) -> NDArray[np.float64]:
    """Shares under which rare labels are drawn more often.

    A label with a part q of all shares gets a part in proportion to q^(1 - strength), as
    multilingual models draw rare languages (Conneau and Lample 2019). Within a label tiles keep
    their proportions.

    Args:
        labels: (N) label of each tile; tiles without one ("") count as one label more.
        shares: (N) how often each is drawn, against the others; not negative.
        strength: 0: as given; 1: every label is drawn equally often.

    Returns:
        (N) float64 of the same sum; as given, bit for bit, at strength 0. A tile of share 0 keeps
        it.

    Raises:
        BadOption: `strength` does not lie in [0, 1].
        BadRecipe: the shares are negative, not finite, or all 0.
    """
    if not 0 <= strength <= 1:
        raise BadOption("strength", strength, "in [0, 1]")
    given, index, count = _checked(labels, shares)
    if strength == 0:
        return given
    totals = np.bincount(index, given, count)
    drawn = totals > 0
    wanted = np.zeros(count)
    wanted[drawn] = (totals[drawn] / totals.sum()) ** (1 - strength)
    wanted *= totals.sum() / wanted.sum()
    within = given / np.where(drawn, totals, 1)[index]
    return np.asarray(within * wanted[index], np.float64)


def refuse_rare(
    labels: Sequence[str],
    patients: Sequence[str],
    least: int,
    told: bool,
    *,
    key: str = "balance.allow_rare",
) -> None:
    """Refuse labels of so few patients that a network would learn these patients instead.

    Args:
        labels: (N) label of each tile; tiles without one ("") are passed over.
        patients: (N) patient of each tile.
        least: fewest patients that a label may have.
        told: whether the user has said that rare labels are wanted.
        key: what to set in the recipe to say so.

    Raises:
        BadRecipe: naming each such label and how many patients it has.
    """
    whose = _patients_by_label(labels, patients)
    rare = {label: len(who) for label, who in whose.items() if label and len(who) < least}
    if rare and not told:
        problems = [
            f"label {label!r} has {few} patient{'s' if few > 1 else ''}, fewer than {least}: "
            "its tiles would show who they are of, and not what it is"
            for label, few in sorted(rare.items(), key=lambda each: (each[1], each[0]))
        ]
        problems[-1] += f" (add patients, leave out such labels, or set {key} = true)"
        raise BadRecipe("labels", problems)


def draws_by_label(
    labels: Sequence[str], patients: Sequence[str], shares: Sequence[float] | NDArray[np.float64]
) -> list[LabelDraws]:
    """What the shares come to in an epoch, rarest label first.

    Args:
        labels: (N) label of each tile.
        patients: (N) patient of each tile.
        shares: (N) as they are drawn, e.g. from `shares_by_label`.

    Raises:
        BadRecipe: the shares are negative, not finite, or all 0.
    """
    given, _, _ = _checked(labels, shares)
    whose = _patients_by_label(labels, patients)
    chance = given / given.sum()
    rows = []
    for label, who in whose.items():
        own = chance[[each == label for each in labels]]
        # an epoch has as many draws as there are tiles
        draws = own * len(given)
        rows.append(
            LabelDraws(
                label=label,
                tiles=len(own),
                patients=len(who),
                share=float(own.sum()),
                per_tile=float(draws.mean()),
                most=float(draws.max()),
                effective_tiles=effective_tiles(own),
            )
        )
    return sorted(rows, key=lambda row: (row.patients, row.tiles, row.label))


def effective_tiles(shares: Sequence[float] | NDArray[np.float64]) -> float:
    """So many tiles, drawn alike, would vary as much as these do: 1 to N; 0 where none is drawn."""
    each = np.asarray(shares, np.float64)
    if not each.size or each.max() <= 0:
        return 0.0
    each = each / each.max()  # squares of small shares would vanish
    return float(each.sum() ** 2 / (each**2).sum())


def draws_markdown(rows: Sequence[LabelDraws]) -> str:
    """The draws as a Markdown table, for a log or a card."""
    head = (
        "| label | patients | tiles | share of draws | draws per tile and epoch | at most "
        "| effective tiles |"
    )
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        name = (row.label or NO_LABEL).replace("|", "\\|")
        lines.append(
            f"| {name} | {row.patients} | {row.tiles} | {row.share:.1%} | {row.per_tile:.2f} "
            f"| {row.most:.2f} | {row.effective_tiles:.1f} |"
        )
    return "\n".join(lines)


def _checked(
    labels: Sequence[str], shares: Sequence[float] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp], int]:
    """The shares (N), the index of each tile's label (N), and how many labels there are."""
    given = np.array(shares, np.float64)
    if given.shape != (len(labels),):
        raise ValueError(
            f"{len(labels)} labels and shares of shape {given.shape} do not belong together"
        )
    if (broken := ~(np.isfinite(given) & (given >= 0))).any():
        problem = f"{int(broken.sum())} of {len(given)} shares are negative or not finite"
        raise BadRecipe("shares", [problem])
    if not given.any():
        raise BadRecipe("shares", [f"share is 0 for all of {len(given)} tiles"])
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return given, np.array([order[label] for label in labels], np.intp), len(order)


def _patients_by_label(labels: Sequence[str], patients: Sequence[str]) -> dict[str, set[str]]:
    whose: dict[str, set[str]] = defaultdict(set)
    for label, patient in zip(labels, patients, strict=True):
        whose[label].add(patient)
    return dict(whose)
