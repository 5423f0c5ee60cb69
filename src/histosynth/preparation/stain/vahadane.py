"""Vahadane's method: the dyes are sparse, non-negative factors of optical density.

Vahadane et al., "Structure-preserving color normalization and sparse stain separation for
histological images", IEEE TMI 2016. The factors are found by scikit-learn's dictionary learning on
a sample of pixels. Amounts are then found by least squares, so that a slide's change of stain stays
one 3 x 3 matrix.
"""

from __future__ import annotations

import warnings

import numpy as np

from ...core.arrays import Float64Array
from ...core.tile import Pixels
from .dyes import DyeStain, stain_of_dyes, stained_density
from .stain import StainMethod
from .unlit import lit_pixels

SAMPLE_PIXELS = 4_000
SPARSITY = 0.1
"""Weight of the sum of amounts relative to the squared error, as in the paper."""


def fit_vahadane(pixels: Pixels, name: str = "the picture") -> DyeStain:
    """Find the dyes as the two-atom dictionary of the density.

    Args:
        pixels: (..., 3) uint8 of tissue; glass and black ground in it are left out.
        name: of the picture, for refusals.

    Raises:
        StainNotFound: too little tissue, one dye only, or directions that no dye has.
    """
    pixels = lit_pixels(pixels, name)
    density = stained_density(pixels, name)
    count = min(len(density), SAMPLE_PIXELS)
    chosen = np.linspace(0, len(density) - 1, count).astype(int)
    dyes = _learn_dictionary(density[chosen])
    first, second = sorted(dyes, key=_redness, reverse=True)
    return stain_of_dyes(
        np.array([first, second]),
        pixels,
        name,
        "vahadane",
    )


def _learn_dictionary(sample: Float64Array) -> Float64Array:
    """(2, 3) atoms of the density (N, 3)."""
    from sklearn.decomposition import DictionaryLearning

    start = _start_dictionary(sample)
    learner = DictionaryLearning(
        n_components=2,
        alpha=SPARSITY,
        max_iter=40,
        tol=1e-6,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        dict_init=start,
        code_init=np.maximum(sample @ np.linalg.pinv(start), 0),
        positive_dict=True,
        positive_code=True,
        random_state=0,
    )
    with warnings.catch_warnings():
        # "did not converge": the last tenth of a degree does not matter
        warnings.simplefilter("ignore")
        atoms: Float64Array = learner.fit(sample).components_
    return atoms


def _start_dictionary(sample: Float64Array) -> Float64Array:
    """The means of the reddest and the bluest tenth: the result then depends on no chance."""
    red_share = sample[:, 0] / sample.sum(axis=1)
    reddest = sample[red_share >= np.quantile(red_share, 0.9)]
    bluest = sample[red_share <= np.quantile(red_share, 0.1)]
    start: Float64Array = np.stack([reddest.mean(0), bluest.mean(0)])
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    return start


def _redness(dye: Float64Array) -> float:
    """The red part of a dye, which is larger in haematoxylin."""
    return float(dye[0] / max(np.linalg.norm(dye), 1e-9))


VAHADANE = StainMethod(
    "vahadane",
    fit_vahadane,
    DyeStain.from_dict,
    revision=2,
)
