"""Holes and what can fill them: ours, and baselines that need no model."""

import cv2
import numpy as np
from scipy import ndimage
from skimage.restoration import inpaint_biharmonic

import histosynth as hs
from histosynth.tissue.blend import paste
from histosynth.tissue.exemplar import copy_into

HOLE = 128
"""Side of the central hole, px."""


def mirrored(pixels, mask):
    """The hole filled with the known tissue beside it, mirrored: no model at all."""
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
    """Real tissue of another patient in this tile's stain, pasted as ours is."""
    frame = hs.measure_appearance(pixels, mask).frame
    stained = frame.from_canonical(hs.measure_appearance(other).frame.to_canonical(other))
    return paste(pixels, stained, mask)


def edge_steps(
    images,
    mask,
    width=6,
    piece=16,
):
    """(N,) how much colours change across the edge of a square hole, grey levels.

    The mean of `width` px inside against as many outside, along pieces of the edge, all four sides.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    top = rows[0]
    bottom = rows[-1] + 1
    steps = []
    for turn in range(4):  # the hole is central, so it stays where it is
        turned = np.rot90(images.astype(float), turn, axes=(1, 2))[:, :, top:bottom]
        inside = turned[:, top : top + width].mean(axis=1)
        outside = turned[:, top - width : top].mean(axis=1)
        pieces = (inside - outside).reshape(len(images), -1, piece, 3).mean(axis=2)
        steps.append(np.abs(pieces).mean(axis=(1, 2)))
    return np.mean(steps, axis=0)


def edge_fibres(
    images,
    mask,
    gap=4,
    width=14,
    piece=32,
):
    """(N, 2) how far fibres keep their direction over the edge of a square central hole.

    Structure tensors of brightness (gradients at 1.5 px) inside and outside, `gap` to `gap + width`
    px from the edge, in pieces of it. For each piece the cosine of twice the angle between them, 1
    for the same direction and -1 for a right angle, times how directed the tissue is inside,
    weighed by how directed it is outside.

    Returns:
        Per image the weighed sum and the sum of weights, as `intervals.ratio` takes them.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    top = rows[0]
    bottom = rows[-1] + 1
    sums = np.zeros((len(images), 2))
    for index, image in enumerate(images):
        density = -np.log((image.astype(float) + 1) / 256).mean(axis=-1)
        down, across = (ndimage.gaussian_filter(density, 1.5, order=o) for o in ((1, 0), (0, 1)))
        tensor = np.stack([across**2 - down**2, 2 * across * down, across**2 + down**2], axis=-1)
        for turn in range(4):  # turned as a whole, both sides alike, angles between them stay
            turned = np.rot90(tensor, turn)[:, top:bottom]
            sides = [
                turned[rows].reshape(width, -1, piece, 3).mean(axis=(0, 2))
                for rows in (
                    slice(top + gap, top + gap + width),
                    slice(top - gap - width, top - gap),
                )
            ]
            inside, outside = (side[:, :2] / side[:, 2:] for side in sides)
            strength = np.linalg.norm(outside, axis=1)
            sums[index] += (inside * outside).sum(), strength.sum()
    return sums


def mending(
    embedder,
    crops,
    others,
    *,
    how,
    draws,
):
    """Central holes, completed `draws` times and filled; distances are means over draws, pictures
    the first.

    Returns:
        Pictures by way of filling, their distance from the real crops by way (B), their change
        across the hole's edge by way (B), their fibres over it by way (B, 2), the hole, and the
        largest change of a known pixel.
    """
    side = len(crops[0][0])
    mask = np.zeros((side, side), bool)
    edge = (side - HOLE) // 2
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
        name: edge_steps(np.stack(images), mask) for name, images in {**ways, "real": real}.items()
    }
    for name in drawn[0]:
        edges[name] = np.mean([edge_steps(np.stack(made[name]), mask) for made in drawn], axis=0)
    fibres = {name: edge_fibres(images, mask) for name, images in {**ways, "real": real}.items()}
    for name in drawn[0]:
        fibres[name] = np.mean([edge_fibres(made[name], mask) for made in drawn], axis=0)
    ours = np.stack([image for made in drawn for image in made["ours"]])
    outside = int(
        np.abs(ours[:, ~mask].astype(int) - np.tile(real, (draws, 1, 1, 1))[:, ~mask]).max()
    )
    return ways, distances, edges, fibres, mask, outside
