"""Are there copies? Distances of synthetic tiles to training tiles, compared with real tissue."""

import numpy as np
from crops import corners
from intervals import fifth, share_below

from histosynth.core.sheet import contact_sheet
from histosynth.metrics.neighbours import nearest_rows
from histosynth.tissue.augment import pose


def copies(
    embedder,
    train,
    unlabelled_crops,
    held_out,
    *,
    rebuilt,
    synthetic,
):
    """How near to training tiles synthetic tiles and real tiles of unseen patients are.

    Distance to the nearest training crop in any pose. The bar is the 5th percentile of real tissue,
    computed twice: from overlapping crops of the validation patients, and, because those are few,
    from training patients that are each compared with all others. Real crops that went through the
    autoencoder are a control: the effect of blur alone.

    Args:
        train, held_out: examples.
        unlabelled_crops: of the sources without patients.
        rebuilt: reconstructions of four crops of each held-out tile.
        synthetic: tiles of the same crops, one replicate after the other.

    Returns:
        Numbers, and a sheet of the nearest pairs.
    """
    crops = [c[0] for e in train for c in corners(e, 4)] + unlabelled_crops
    owners = np.array(
        [e.tile.ref.patient for e in train for _ in range(16)] + [""] * len(unlabelled_crops)
    )
    known = embedder.embed(np.stack(crops))

    def gaps(images, patients):
        posed = [
            np.stack([np.ascontiguousarray(pose(image, k)) for image in images]) for k in range(8)
        ]
        found = np.full((8, len(images), 2), np.inf)
        for k, each in enumerate(posed):
            features = embedder.embed(each)
            distances, rows = nearest_rows(features, known, owners=(list(patients), list(owners)))
            found[k] = np.stack([distances[:, 0], rows[:, 0]], axis=1)
        best = found[..., 0].argmin(axis=0)
        pick = [(*found[k, i], posed[k][i]) for i, k in enumerate(best)]
        return np.array([distance for distance, *_ in pick]), pick

    names = [e.tile.ref.patient for e in held_out]
    unseen_patients = np.repeat(names, 16)
    synthetic_patients = np.tile(np.repeat(names, 4), len(synthetic) // (4 * len(names)))
    others = [(c[0], e.tile.ref.patient) for e in train for c in corners(e)]
    unseen, _ = gaps(np.stack([c[0] for e in held_out for c in corners(e, 4)]), unseen_patients)
    blurred, _ = gaps(rebuilt, np.repeat(names, 4))
    other_patients = np.array([patient for _, patient in others])
    left_out, _ = gaps(np.stack([image for image, _ in others]), other_patients)
    synthetic_gaps, pairs = gaps(synthetic, synthetic_patients)
    bars = {
        "validation_patients": fifth(unseen, unseen_patients),
        "train_patients_left_out": fifth(left_out, other_patients),
    }
    pairs = sorted(pairs, key=lambda pair: pair[0])[:8]
    rows = [
        ("synthetic, nearest to training first", [image for *_, image in pairs]),
        ("its nearest training crop", [crops[int(row)] for _, row, _ in pairs]),
    ]
    return {
        "made_5th_percentile": fifth(synthetic_gaps, synthetic_patients),
        "real_5th_percentile": bars,
        "share_below_bar": {
            "validation_patients": share_below(
                synthetic_gaps, synthetic_patients, unseen, unseen_patients
            ),
            "train_patients_left_out": share_below(
                synthetic_gaps, synthetic_patients, left_out, other_patients
            ),
        },
        "reconstructed_share_below_bar": {
            name: float((blurred < bar["value"]).mean()) for name, bar in bars.items()
        },
        "made_nearest": float(synthetic_gaps.min()),
        "made_median": float(np.median(synthetic_gaps)),
        "real_nearest": float(unseen.min()),
        "real_median": float(np.median(unseen)),
        "n": len(synthetic),
    }, contact_sheet(rows)
