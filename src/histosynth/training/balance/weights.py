"""How often tiles of rare labels are drawn, and labels of too few patients to be learnt.

Drawing a rare label more often shows the same few patients more often: it balances the batches,
adds no information, and makes copying likelier. So the draws of a tile are reported with the
shares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ...core.errors import BadOption, BadRecipe

_NO_LABEL = "not stated"
"""Name of tiles without a label in tables."""


@dataclass(frozen=True)
class LabelDraws:
    """How one label's tiles are drawn.

    Attributes:
        label: name; "" where none is known.
        tiles: number of its tiles.
        patients: number of their patients.
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

    def as_dict(self) -> dict[str, str | int | float]:
        """For JSON."""
        return asdict(self)


def shares_by_label(
    labels: Sequence[str],
    shares: Sequence[float] | Float64Array,
    *,
    strength: float,
) -> Float64Array:
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
    given = _checked_shares(labels, shares)
    if strength == 0:
        return given
    label_indices = _label_indices(labels)
    totals = np.bincount(label_indices, given)
    is_drawn = totals > 0
    parts = totals[is_drawn] / totals.sum()
    wanted = np.zeros(len(totals))
    wanted[is_drawn] = parts ** (1 - strength)
    wanted *= totals.sum() / wanted.sum()
    divisors = np.where(is_drawn, totals, 1)
    within_label = given / divisors[label_indices]
    return np.asarray(within_label * wanted[label_indices], np.float64)


def refuse_rare(
    labels: Sequence[str],
    patients: Sequence[str],
    min_patients: int,
    allowed: bool,
    *,
    key: str = "balance.allow_rare",
) -> None:
    """Refuse labels of so few patients that a network would learn these patients instead.

    Args:
        labels: (N) label of each tile; tiles without one ("") are ignored.
        patients: (N) patient of each tile.
        min_patients: fewest patients that a label may have.
        allowed: whether the user has allowed rare labels.
        key: to set in the recipe to allow them.

    Raises:
        BadRecipe: naming each such label and how many patients it has.
    """
    rare = []
    for label, own in _patients_by_label(labels, patients).items():
        if label and len(own) < min_patients:
            rare.append((len(own), label))
    if allowed or not rare:
        return
    problems = []
    for count, label in sorted(rare):
        plural = "s" if count > 1 else ""
        problems.append(
            f"label {label!r} has {count} patient{plural}, fewer than {min_patients}: "
            "its tiles would show these patients rather than the label"
        )
    problems[-1] += f" (add patients, leave out such labels, or set {key} = true)"
    raise BadRecipe("labels", problems)


def draws_by_label(
    labels: Sequence[str],
    patients: Sequence[str],
    shares: Sequence[float] | Float64Array,
) -> list[LabelDraws]:
    """The draws of an epoch that follow from the shares, rarest label first.

    Args:
        labels: (N) label of each tile.
        patients: (N) patient of each tile.
        shares: (N) as they are drawn, e.g. from `shares_by_label`.

    Raises:
        BadRecipe: the shares are negative, not finite, or all 0.
    """
    given = _checked_shares(labels, shares)
    chances = given / given.sum()
    rows = []
    for label, own_patients in _patients_by_label(labels, patients).items():
        is_own = [each == label for each in labels]
        own = chances[is_own]
        draws = own * len(given)  # an epoch has as many draws as there are tiles
        row = LabelDraws(
            label=label,
            tiles=len(own),
            patients=len(own_patients),
            share=float(own.sum()),
            per_tile=float(draws.mean()),
            most=float(draws.max()),
            effective_tiles=effective_tiles(own),
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (row.patients, row.tiles, row.label))


def effective_tiles(shares: Sequence[float] | Float64Array) -> float:
    """As many tiles, drawn alike, would vary as much as these: 1 to N; 0 if none is drawn."""
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
        name = (row.label or _NO_LABEL).replace("|", "\\|")
        lines.append(
            f"| {name} | {row.patients} | {row.tiles} | {row.share:.1%} | {row.per_tile:.2f} "
            f"| {row.most:.2f} | {row.effective_tiles:.1f} |"
        )
    return "\n".join(lines)


def _checked_shares(
    labels: Sequence[str],
    shares: Sequence[float] | Float64Array,
) -> Float64Array:
    """(N) a copy of the shares.

    Raises:
        ValueError: there are not as many as labels.
        BadRecipe: they are negative, not finite, or all 0.
    """
    given = np.array(shares, np.float64)
    if given.shape != (len(labels),):
        raise ValueError(
            f"{len(labels)} labels and shares of shape {given.shape} do not belong together"
        )
    is_valid = np.isfinite(given) & (given >= 0)
    if not is_valid.all():
        count = int((~is_valid).sum())
        problem = f"{count} of {len(given)} shares are negative or not finite"
        raise BadRecipe("shares", [problem])
    if not given.any():
        raise BadRecipe("shares", [f"share is 0 for all of {len(given)} tiles"])
    return given


def _label_indices(labels: Sequence[str]) -> IndexArray:
    """(N) index of each tile's label, in the order in which labels first occur."""
    index_of: dict[str, int] = {}
    for label in labels:
        index_of.setdefault(label, len(index_of))
    return np.array([index_of[label] for label in labels], np.intp)


def _patients_by_label(
    labels: Sequence[str],
    patients: Sequence[str],
) -> dict[str, set[str]]:
    by_label: dict[str, set[str]] = defaultdict(set)
    for label, patient in zip(labels, patients, strict=True):
        by_label[label].add(patient)
    return dict(by_label)
