"""Masks and what can fill them: the model, and baselines that need none."""

import cv2
import numpy as np
from skimage.restoration import inpaint_biharmonic

import histosynth as hs
from histosynth.metrics.inpainting.boundary import Boundary, boundary_fibres, boundary_step
from histosynth.tissue.blend import paste
from histosynth.tissue.exemplar import copy_into

MASK_PX = 128
"""Side of the central mask, px."""


def mirrored(pixels, mask):
    """The mask filled with the known tissue next to it, mirrored: no model at all."""
    rows = np.flatnonzero(mask.any(axis=1))
    top = rows[0]
    bottom = rows[-1] + 1
    middle = (top + bottom) // 2
    out = pixels.copy()
    flipped = pixels.copy()
    flipped[top:middle] = pixels[2 * top - middle : top][::-1]
    flipped[middle:bottom] = pixels[bottom : 2 * bottom - middle][::-1]
    out[mask] = flipped[mask]
    return out


def pasted(pixels, mask, other):
    """Real tissue of another patient in this tile's stain, pasted as the model's is."""
    frame = hs.measure_appearance(pixels, mask).frame
    stained = frame.from_canonical(hs.measure_appearance(other).frame.to_canonical(other))
    return paste(pixels, stained, mask)


def boundary_steps(images, mask):
    """(N,) how much colours change across the boundary of a mask, grey levels."""
    boundary = Boundary.of(mask)
    return np.array([boundary_step(image, boundary) for image in images])


def fibres_across(images, mask):
    """(N, 2) how far fibres keep their direction across the boundary of a mask.

    Per image the weighted sum and the sum of weights, as `intervals.ratio` takes them.
    """
    boundary = Boundary.of(mask)
    return np.array([boundary_fibres(image, boundary) for image in images])


def mending(
    embedder,
    crops,
    others,
    *,
    how,
    draws,
):
    """Central masks, completed `draws` times and filled; distances are means over draws, pictures
    the first.

    Returns:
        Pictures by way of filling, their distance from the real crops by way (B), their change
        across the mask's boundary by way (B), their fibres across it by way (B, 2), the mask, and
        the largest change of a known pixel.
    """
    side = len(crops[0][0])
    mask = np.zeros((side, side), bool)
    edge = (side - MASK_PX) // 2
    mask[edge:-edge, edge:-edge] = True
    names = (
        "ours",
        "ours_without_nuclei",
        "ours_from_noise",
        "copied_tissue",
        "biharmonic",
        "telea",
        "mirrored",
        "other_real_tissue",
    )
    ways = {name: [] for name in names}
    drawn = [{name: [] for name in names[:3]} for _ in range(draws)]
    for index, (pixels, nuclei, _) in enumerate(crops):
        for draw, made in enumerate(drawn):
            told = {**how, "seed": how["seed"] + draw}
            made["ours"].append(hs.complete(pixels, mask, nuclei=nuclei, **told).pixels)
            made["ours_without_nuclei"].append(hs.complete(pixels, mask, **told).pixels)
            alone = hs.complete(
                pixels,
                mask,
                nuclei=nuclei,
                exemplar=False,
                **told,
            )
            made["ours_from_noise"].append(alone.pixels)
        smooth = inpaint_biharmonic(
            pixels,
            mask,
            channel_axis=2,
            split_into_regions=False,
        )
        ways["biharmonic"].append((smooth * 255).round().clip(0, 255).astype(np.uint8))
        ways["copied_tissue"].append(copy_into(pixels, mask, nuclei).pixels)
        ways["mirrored"].append(mirrored(pixels, mask))
        ways["other_real_tissue"].append(pasted(pixels, mask, others[index]))
        ways["telea"].append(
            cv2.inpaint(
                pixels,
                mask.astype(np.uint8),
                5,
                cv2.INPAINT_TELEA,
            )
        )
    real = np.stack([pixels for pixels, *_ in crops])
    ways |= drawn[0]
    distances = {
        name: embedder.distance(np.stack(images), real, mask) for name, images in ways.items()
    }
    for name in drawn[0]:
        each = [embedder.distance(np.stack(made[name]), real, mask) for made in drawn]
        distances[name] = np.mean(each, axis=0)
    edges = {
        name: boundary_steps(np.stack(images), mask)
        for name, images in {**ways, "real": real}.items()
    }
    for name in drawn[0]:
        edges[name] = np.mean(
            [boundary_steps(np.stack(made[name]), mask) for made in drawn], axis=0
        )
    fibres = {name: fibres_across(images, mask) for name, images in {**ways, "real": real}.items()}
    for name in drawn[0]:
        fibres[name] = np.mean([fibres_across(made[name], mask) for made in drawn], axis=0)
    ours = np.stack([image for made in drawn for image in made["ours"]])
    outside = int(
        np.abs(ours[:, ~mask].astype(int) - np.tile(real, (draws, 1, 1, 1))[:, ~mask]).max()
    )
    return ways, distances, edges, fibres, mask, outside
