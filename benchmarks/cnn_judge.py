"""Can a fresh CNN tell synthetic from real, on 64-px crops of patients that it did not learn on?

    python benchmarks/cnn_judge.py REAL SYNTHETIC [--out cnn-judge.json] [--seeds 3]

REAL and SYNTHETIC are folders of tiles of the same patients, named by `--patient`: `synthesize`
names its tiles so. Five convolutions learn on 64-px crops at 1:1 of one half of the patients and
judge the other half, then the other way round; AUC over all crops of the halves that were judged,
0.5 where nobody can tell, 1.0 where every crop gives itself away. As control the real tiles of each
patient are split in two, and one part stands for the synthetic ones.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
from intervals import as_row
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from histosynth.metrics.intervals import statistic_over
from histosynth.tensors.device import has_bf16_instructions

CROP_PX = 64
LAYERS = ((24, 1), (32, 2), (48, 2), (64, 2), (96, 2))
"""Channels and stride of each convolution."""
PEAK_RATE = 3e-3
JITTER = 0.1
"""Spread of brightness and contrast by channel: colour alone is not to give a tile away."""


class Judge(nn.Module):
    """A plain CNN of a mean over its last maps."""

    def __init__(self):
        super().__init__()
        layers = []
        before = 3
        for channels, stride in LAYERS:
            convolution = nn.Conv2d(before, channels, 3, stride=stride, padding=1)
            layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
            before = channels
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, 1)

    def forward(self, pictures):
        maps = self.features(pictures)
        return self.head(maps.mean((2, 3)))[:, 0]


def tiles_by_patient(folder, pattern):
    """Pictures (H, W, 3) uint8 of each patient."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        match = re.search(pattern, path.name)
        if match is None:
            raise SystemExit(f"{path.name} does not match --patient {pattern}")
        found.setdefault(match[1], []).append(np.array(Image.open(path).convert("RGB")))
    return found


def as_signal(crops):
    """(N, H, W, 3) uint8 => (N, 3, H, W) float in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(crops))
    signal = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    return signal.contiguous(memory_format=torch.channels_last)


def random_crop(random, picture):
    top, left = (random.integers(0, side - CROP_PX + 1) for side in picture.shape[:2])
    crop = np.rot90(picture[top : top + CROP_PX, left : left + CROP_PX], random.integers(4))
    return crop[:, ::-1] if random.integers(2) else crop


def trained(sides, patients, *, steps, batch, seed):
    """A judge that learned on the tiles of these patients."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    judge = Judge().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(judge.parameters(), PEAK_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, steps)
    targets = torch.arange(batch) % 2
    for _ in range(steps):
        crops = []
        for target in targets.tolist():
            tiles = sides[target][patients[random.integers(len(patients))]]
            crops.append(random_crop(random, tiles[random.integers(len(tiles))]))
        signal = as_signal(np.stack(crops))
        signal *= 1 + JITTER * torch.randn(batch, 3, 1, 1)
        signal += JITTER * torch.randn(batch, 3, 1, 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16_instructions()):
            logits = judge(signal)
        loss = F.binary_cross_entropy_with_logits(logits.float(), targets.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


@torch.no_grad()
def scores_of(judge, picture):
    """Scores of the crops that tile a picture."""
    height, width = picture.shape[:2]
    crops = [
        picture[top : top + CROP_PX, left : left + CROP_PX]
        for top in range(0, height - CROP_PX + 1, CROP_PX)
        for left in range(0, width - CROP_PX + 1, CROP_PX)
    ]
    return judge(as_signal(np.stack(crops))).numpy()


def judged(sides, *, steps, batch, seeds):
    """Score, side and patient of every crop of tiles that its judge did not learn on."""
    names = sorted(set(sides[0]) & set(sides[1]))
    if len(names) < 4:
        raise SystemExit(f"{len(names)} patients have tiles on both sides; 4 are needed")
    scores, side_of, patient_of = [], [], []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(names).tolist()
        for fold in (0, 1):
            judge = trained(sides, order[fold::2], steps=steps, batch=batch, seed=seed)
            for patient in order[1 - fold :: 2]:
                for side in (0, 1):
                    for picture in sides[side][patient]:
                        found = scores_of(judge, picture)
                        scores.append(found)
                        side_of += [side] * len(found)
                        patient_of += [patient] * len(found)
    return np.concatenate(scores), np.array(side_of), patient_of


def auc(sides, **how):
    """AUC with its interval by patients."""
    scores, side_of, patient_of = judged(sides, **how)
    rows = np.stack([scores, side_of], axis=1)

    def area(rows):
        return roc_auc_score(rows[:, 1], rows[:, 0])

    return as_row(statistic_over(area, (rows, patient_of)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("real", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--patient", default="^(.{12})", help="its first group is the patient")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    real, synthetic = (
        tiles_by_patient(folder, args.patient) for folder in (args.real, args.synthetic)
    )
    halves = [
        {patient: tiles[part::2] for patient, tiles in real.items() if len(tiles) > 1}
        for part in (0, 1)
    ]
    how = {"steps": args.steps, "batch": args.batch, "seeds": args.seeds}
    result = {"settings": how, "AUC": auc([real, synthetic], **how), "control": auc(halves, **how)}
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
