"""Do our encoders give what the public ones give? Random weights, random pictures: no download.

    python -m venv parity && parity/bin/pip install torch torchvision pytorch-fid clean-fid lpips
    timm \
        transformers -e .
    parity/bin/python benchmarks/encoder_parity.py [--pictures 6]

Compares, largest differences in a table: our resize with clean-fid's; our InceptionV3 with
pytorch-fid's (pooled features, and the first 7 channels of Mixed_6d) for one signal and for each
side's own way from pictures to it; our LPIPS within masks with the package's own maps; our reading
of a timm folder with timm's own; our way of seeing pictures with transformers' processor. Fails
where one is too large.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file

from histosynth.encoders.hub import load_hub
from histosynth.encoders.inception import load_inception
from histosynth.encoders.inception_net import INPUT_SIDE_PX
from histosynth.encoders.lpips import load_lpips
from histosynth.encoders.resizing import clean_resize, whole_signal

SIZES = ((128, 128), (256, 256), (299, 299), (200, 333), (512, 512), (1024, 768))
rows: list[tuple[str, float, float, float]] = []


def compare(
    what,
    ours,
    theirs,
    limit,
):
    """Largest absolute difference, as a share of their spread for features."""
    ours = np.asarray(ours, np.float64)
    theirs = np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    rows.append((what, float(np.abs(ours - theirs).max()), float(theirs.std()), limit))


def pictures(random, count, size):
    """Half noise, half smooth: filters overshoot at the edges of both."""
    noise = random.integers(0, 256, (count // 2, *size, 3))
    rough = random.integers(0, 256, (count - count // 2, 9, 11, 3))
    grid = np.ix_(
        np.linspace(0, 8, size[0]).round().astype(int),
        np.linspace(0, 10, size[1]).round().astype(int),
    )
    return np.concatenate([noise, np.stack([each[grid] for each in rough])]).astype(np.uint8)


def shake(network, seed):
    """Random weights that keep signals alive, and statistics of batch norms far from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)


def theirs_inception():
    """pytorch-fid's network, in its own classes, without its file; and the map that sFID looks
    at."""
    from pytorch_fid import inception

    kept = {}

    def state_of(network):
        shake(network, 0)
        kept["state"] = network.state_dict()
        network.Mixed_6d.register_forward_hook(lambda _, __, out: kept.update(map=out))
        return kept["state"]

    original = inception._inception_v3

    def built(*args, **more):
        kept["network"] = original(*args, **more)
        return kept["network"]

    with (
        mock.patch.object(inception, "_inception_v3", built),
        mock.patch.object(
            inception,
            "load_state_dict_from_url",
            lambda *_, **__: state_of(kept["network"]),
        ),
    ):
        network = inception.InceptionV3((3,), resize_input=False, normalize_input=False).eval()
    return network, kept


@torch.inference_mode()
def inception_parity(folder, shown):
    from cleanfid.resize import build_resizer

    resizer = build_resizer("clean")
    for size in SIZES:
        some = pictures(np.random.default_rng(1), 4, size)
        ours, theirs = (
            np.stack([f(each) for each in some])
            for f in (lambda p: clean_resize(p, INPUT_SIDE_PX), resizer)
        )
        compare(
            f"resize {size[0]} x {size[1]} to 299, levels of 255",
            ours,
            theirs,
            1e-6,
        )
    network, kept = theirs_inception()
    path = folder / "inception.safetensors"
    save_file({key: value.contiguous() for key, value in kept["state"].items()}, path)
    encoder = load_inception(path)
    signal = torch.randn(
        len(shown),
        3,
        INPUT_SIDE_PX,
        INPUT_SIDE_PX,
        generator=torch.Generator().manual_seed(2),
    )
    theirs = network(signal)[0][..., 0, 0]
    ours, places = encoder.look(signal * 128 + 128)
    compare(
        "Inception pooled, one signal",
        ours,
        theirs,
        1e-5 * float(theirs.std()),
    )
    spread = float(kept["map"][:, :7].std())
    compare(
        "Inception Mixed_6d[:7], one signal",
        places,
        kept["map"][:, :7],
        1e-5 * spread,
    )
    resized = torch.from_numpy(np.stack([resizer(each) for each in shown])).permute(
        0,
        3,
        1,
        2,
    )
    theirs = network((resized - 128) / 128)[0][..., 0, 0]
    found = encoder.embed(shown)
    compare(
        "Inception pooled, from pictures",
        found.features,
        theirs,
        1e-5 * float(theirs.std()),
    )
    map_ = kept["map"][:, :7].permute(0, 2, 3, 1).flatten(1)
    compare(
        "Inception spatial, from pictures",
        found.spatial,
        map_,
        1e-5 * float(map_.std()),
    )
    alone = np.concatenate([encoder.embed(each[None]).features for each in shown])
    compare(
        "Inception pooled, alone against in a batch",
        alone,
        found.features,
        1e-5 * float(theirs.std()),
    )
    # what another range would do, so that the limits above are seen to mean something
    other = network(resized / 127.5 - 1)[0][..., 0, 0]
    moved = float((other - theirs).abs().max())
    print(f"for scale: (x / 127.5 - 1) instead of (x - 128) / 128 moves it by {moved:.3g}")


@torch.inference_mode()
def lpips_parity(folder):
    import lpips
    import torchvision

    random = np.random.default_rng(3)
    first = pictures(random, 4, (96, 80))
    second = pictures(random, 4, (96, 80))
    masks = random.random((4, 3, 96, 80)) < np.array([0.02, 0.3, 1.1])[:, None, None]
    for name, build in (("alex", torchvision.models.alexnet), ("vgg", torchvision.models.vgg16)):
        torch.manual_seed(4)
        trunk = build(weights=None)
        path = folder / f"{name}.safetensors"
        save_file({k: v for k, v in trunk.state_dict().items() if k.startswith("features.")}, path)
        judge = lpips.LPIPS(
            net=name,
            spatial=True,
            pnet_rand=True,
            verbose=False,
        )
        for index, layer in enumerate(
            trunk.features
        ):  # the package's slices keep the numbers of layers
            for part in judge.net.children():
                if isinstance(part, torch.nn.Sequential) and str(index) in part._modules:
                    part._modules[str(index)] = layer
        left, right = (torch.from_numpy(p).permute(0, 3, 1, 2) / 127.5 - 1 for p in (first, second))
        maps = judge(left, right)[:, 0].numpy()
        theirs = np.array([[maps[n][masks[n, m]].mean() for m in range(3)] for n in range(4)])
        ours = load_lpips(name, path).distance(first, second, masks)
        compare(
            f"LPIPS_{name} within masks",
            ours,
            theirs,
            1e-4 * theirs.mean(),
        )


@torch.inference_mode()
def timm_parity(folder, shown):
    import timm

    for name, size, more in (
        ("vit_tiny_patch16_224", 224, {"init_values": 1e-5}),
        ("resnet18", 224, {}),
        ("convnext_atto", 224, {}),
    ):
        torch.manual_seed(5)
        model = timm.create_model(
            name, **more
        ).eval()  # with its classifier, as public files have it
        place = folder / name
        place.mkdir()
        save_file(
            {k: v.contiguous() for k, v in model.state_dict().items()}, place / "model.safetensors"
        )
        config = {
            "architecture": name,
            "model_args": more,
            "pretrained_cfg": model.pretrained_cfg,
        }
        (place / "config.json").write_text(json.dumps(config, default=str))
        # timm's own reading of the same folder
        theirs_model = timm.create_model(
            f"local-dir:{place}", pretrained=True, num_classes=0
        ).eval()
        encoder = load_hub(str(place))
        theirs = theirs_model(
            whole_signal(
                shown,
                (size, size),
                encoder.preprocessing.mean,
                encoder.preprocessing.std,
            )
        )
        compare(
            f"timm {name}",
            encoder.embed(shown).features,
            theirs,
            1e-5,
        )


def processor_parity(shown):
    """The processor of DINOv2, told to resize whole pictures to 224 x 224."""
    import transformers

    kind = getattr(transformers, "BitImageProcessorPil", transformers.BitImageProcessor)
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
    processor = kind(
        do_resize=True,
        size={"height": 224, "width": 224},
        resample=3,
        do_center_crop=False,
        image_mean=mean,
        image_std=std,
        do_normalize=True,
        do_rescale=True,
    )
    theirs = np.stack(
        [np.asarray(processor(each, return_tensors="np")["pixel_values"][0]) for each in shown]
    )
    ours = whole_signal(shown, (224, 224), mean, std)
    compare(
        "signal of transformers' processor, whole picture",
        ours,
        theirs,
        1e-5,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=6)
    count = parser.parse_args().pictures
    warnings.simplefilter("ignore")
    shown = pictures(np.random.default_rng(0), count, (256, 320))
    with tempfile.TemporaryDirectory() as name:
        inception_parity(Path(name), shown)
        lpips_parity(Path(name))
        timm_parity(Path(name), shown)
        processor_parity(shown)
    print(f"{'compared':52}{'largest difference':>20}{'spread':>12}{'limit':>12}")
    for what, apart, spread, limit in rows:
        verdict = "" if apart <= limit else "  TOO FAR"
        print(f"{what:52}{apart:20.3g}{spread:12.3g}{limit:12.3g}{verdict}")
    if any(apart > limit for _, apart, _, limit in rows):
        raise SystemExit("some are too far apart")


if __name__ == "__main__":
    main()
