"""Learning from another detector's answers instead of from nuclei that people marked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ....core.errors import BadRecipe
from ....core.nuclei import Nuclei
from ....core.tile import Pixels
from ....core.units import same_scale
from ....detectors.centroids import CentroidDetector, load_detector
from ....detectors.finding import find_nuclei
from ....detectors.info import SHIPPED_CARDS
from ...recipes.detector import DetectorRecipe


def open_teacher(recipe: DetectorRecipe) -> CentroidDetector | None:
    """The detector that a recipe learns from; None where it learns from marked nuclei.

    Raises:
        BadRecipe: it works at another scale, or has other classes.
        BadWeights: its weights are not whole.
    """
    name = recipe.model.teacher
    if not name:
        return None
    teacher = load_detector(SHIPPED_CARDS[name])
    if not same_scale(recipe.data.mpp, teacher.mpp):
        problem = f"data.mpp is {recipe.data.mpp:g}; {name}, its teacher, works at {teacher.mpp:g}"
        raise BadRecipe(recipe.task, [problem])
    if recipe.data.classes != teacher.classes:
        known = ", ".join(teacher.classes)
        raise BadRecipe(recipe.task, [f"data.classes must be those of {name}: {known}"])
    return teacher


def nuclei_by(teacher: CentroidDetector, pixels: Pixels) -> Nuclei:
    """What a teacher finds in a tile of its own scale."""
    return find_nuclei(pixels, teacher.mpp, teacher)


@torch.no_grad()
def answers_of(teacher: CentroidDetector, images: Tensor) -> tuple[Tensor, Tensor]:
    """A teacher's heat (B, h, w) in [0, 1] and shares of classes (B, K, h, w).

    Args:
        teacher: the detector.
        images: (B, 3, H, W) in [-1, 1], as the network that learns gets them.
    """
    like = next(teacher.network.parameters())
    heat, classes = teacher.network(
        images.to(
            like,
            memory_format=torch.channels_last,
        )
    )
    return heat[:, 0].sigmoid(), classes.softmax(1)


def taught_loss(
    heat: Tensor,
    classes: Tensor,
    answers: tuple[Tensor, Tensor],
    *,
    peak_weight: float,
    class_weight: float,
) -> Tensor:
    """How far answers are from a teacher's: 0 where they are the same.

    Args:
        heat: (B, h, w) logits.
        classes: (B, K, h, w) logits.
        answers: of `answers_of`, on the same device.
        peak_weight: a cell of heat 1 counts this much more than one of heat 0.
        class_weight: of the classes, whose cells count by their heat.
    """
    wanted_heat, wanted_classes = answers
    errors = F.binary_cross_entropy_with_logits(
        heat,
        wanted_heat,
        reduction="none",
    )
    least_errors = F.binary_cross_entropy(
        wanted_heat,
        wanted_heat,
        reduction="none",
    )
    weights = 1 + peak_weight * wanted_heat
    heat_loss = ((errors - least_errors) * weights).mean()
    divergence = F.kl_div(
        classes.log_softmax(1),
        wanted_classes,
        reduction="none",
    ).sum(1)
    class_loss = (divergence * wanted_heat).sum() / wanted_heat.sum().clamp_min(1)
    return heat_loss + class_weight * class_loss
