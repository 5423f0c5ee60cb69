"""Holes and what can fill them: ours, and baselines that need no model."""

import cv2
import numpy as np
from skimage.restoration import inpaint_biharmonic

import histosynth as hs
from histosynth.core.blend import paste

HOLE = 128
"""Side of the central hole, px."""


def mirrored(pixels, hole):
    """The hole filled with the known tissue beside it, mirrored: no model at all."""
    rows = np.flatnonzero(hole.any(axis=1))
    top, bottom = rows[0], rows[-1] + 1
    middle, out = (top + bottom) // 2, pixels.copy()
    flipped = pixels.copy()
    flipped[top:middle] = pixels[2 * top - middle : top][::-1]
    flipped[middle:bottom] = pixels[bottom : 2 * bottom - middle][::-1]
    out[hole] = flipped[hole]
    return out


def pasted(pixels, hole, other):
    """Real tissue of another patient in this tile's stain, pasted as ours is."""
    frame = hs.measure_appearance(pixels, hole).frame
    stained = frame.from_canonical(hs.measure_appearance(other).frame.to_canonical(other))
    return paste(pixels, stained, hole)


def edge_steps(images, hole, width=6, piece=16):
    """(N,) how much colours change across the edge of a square hole, grey levels.

    The mean of `width` px inside against as many outside, along pieces of the edge, all four sides.
    """
    rows = np.flatnonzero(hole.any(axis=1))
    top, bottom, steps = rows[0], rows[-1] + 1, []
    for turn in range(4):  # the hole is central, so it stays where it is
        turned = np.rot90(images.astype(float), turn, axes=(1, 2))[:, :, top:bottom]
        inside = turned[:, top : top + width].mean(axis=1)
        outside = turned[:, top - width : top].mean(axis=1)
        pieces = (inside - outside).reshape(len(images), -1, piece, 3).mean(axis=2)
        steps.append(np.abs(pieces).mean(axis=(1, 2)))
    return np.mean(steps, axis=0)


def mending(embedder, crops, others, *, how, draws):
    """Central holes, completed `draws` times and filled; distances are means over draws, pictures the first.

    Returns:
        Pictures by way of filling, their distance from the real crops by way (B), their change across the
        hole's edge by way (B), the hole, and the largest change of a known pixel.
    """
    side = len(crops[0][0])
    hole = np.zeros((side, side), bool)
    edge = (side - HOLE) // 2
    hole[edge:-edge, edge:-edge] = True
    names = ("ours", "ours_without_nuclei", "biharmonic", "telea", "mirrored", "other_real_tissue")
    ways = {name: [] for name in names}
    drawn = [{name: [] for name in names[:2]} for _ in range(draws)]
    for index, (pixels, nuclei, _) in enumerate(crops):
        for draw, made in enumerate(drawn):
            told = {**how, "seed": how["seed"] + draw}
            made["ours"].append(hs.complete(pixels, hole, nuclei=nuclei, **told).pixels)
            made["ours_without_nuclei"].append(hs.complete(pixels, hole, **told).pixels)
        smooth = inpaint_biharmonic(pixels, hole, channel_axis=2, split_into_regions=False)
        ways["biharmonic"].append((smooth * 255).round().clip(0, 255).astype(np.uint8))
        ways["mirrored"].append(mirrored(pixels, hole))
        ways["other_real_tissue"].append(pasted(pixels, hole, others[index]))
        ways["telea"].append(cv2.inpaint(pixels, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA))
    real = np.stack([pixels for pixels, *_ in crops])
    ways |= drawn[0]
    distances = {name: embedder.distance(np.stack(images), real, hole) for name, images in ways.items()}
    for name in drawn[0]:
        each = [embedder.distance(np.stack(made[name]), real, hole) for made in drawn]
        distances[name] = np.mean(each, axis=0)
    edges = {name: edge_steps(np.stack(images), hole) for name, images in {**ways, "real": real}.items()}
    for name in drawn[0]:
        edges[name] = np.mean([edge_steps(np.stack(made[name]), hole) for made in drawn], axis=0)
    ours = np.stack([image for made in drawn for image in made["ours"]])
    outside = int(np.abs(ours[:, ~hole].astype(int) - np.tile(real, (draws, 1, 1, 1))[:, ~hole]).max())
    return ways, distances, edges, hole, outside
