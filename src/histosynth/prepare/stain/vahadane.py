"""Vahadane's way of finding the dyes: sparse, non-negative factors of optical density.

Vahadane et al., "Structure-preserving color normalization and sparse stain separation for
histological images", IEEE TMI 2016. Here by scikit-learn's dictionary learning on a sample of
pixels; amounts are then taken by least squares, so that a slide's change of stain stays one 3 x 3
matrix.
"""

from __future__ import annotations

import warnings

import numpy as np

from ...core.tile import Pixels
from .dyes import DyeStain, measured, stained_density

SAMPLE = 4_000
SPARSITY = 0.1
"""Weight of the sum of amounts beside the squared error, as in the paper."""


def fit_vahadane(pixels: Pixels, name: str = "the picture") -> DyeStain:
    """Find the dyes as the two-atom dictionary of the density.

    Args:
        pixels: (..., 3) uint8 of tissue; glass in it is left out.
        name: whose they are, for refusals.

    Raises:
        StainNotFound: too little tissue, one dye only, or directions that no dye has.
    """
    from sklearn.decomposition import DictionaryLearning

    density = stained_density(pixels, name)
    every = np.linspace(0, len(density) - 1, min(len(density), SAMPLE)).astype(int)
    sample = density[every]
    # begin from the reddest and the bluest of the usual pixels: the result depends on no chance
    ratio = sample[:, 0] / sample.sum(axis=1)
    begin = np.stack(
        [
            sample[ratio >= np.quantile(ratio, 0.9)].mean(0),
            sample[ratio <= np.quantile(ratio, 0.1)].mean(0),
        ]
    )
    begin /= np.linalg.norm(begin, axis=1, keepdims=True)
    learner = DictionaryLearning(
        n_components=2,
        alpha=SPARSITY,
        max_iter=40,
        tol=1e-6,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        dict_init=begin,
        code_init=np.maximum(sample @ np.linalg.pinv(begin), 0),
        positive_dict=True,
        positive_code=True,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # "did not converge": the last tenth of a degree is of no account
        dyes = learner.fit(sample).components_
    first, second = sorted(dyes, key=lambda vector: -vector[0] / max(np.linalg.norm(vector), 1e-9))
    return measured(
        np.array([first, second]),
        density,
        name,
        "vahadane",
        every=pixels,
    )
