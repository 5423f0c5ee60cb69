"""A small world to judge: folders of fake tissue, and how tests ask about it."""

from dataclasses import replace

from glass import tissue  # noqa: F401 - for the tests that import from here
from PIL import Image

from histosynth.engine import EngineOptions
from histosynth.evaluation import EvaluationConfig, InputOptions, MeasureSettings
from histosynth.pipeline.evaluate import run_evaluation

SIDE = 128
CLASSES = ("nucleus",)


def save(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{name}.png")


def barcode(number):
    return f"TCGA-AA-{number:04d}-01Z"


def config(world, **more):
    base = EvaluationConfig(
        world / "real",
        world / "made",
        reference=world / "train",
        conditions=world / "nuclei",
        inputs=InputOptions(mpp=0.5),
        measurement=MeasureSettings(detectors=("blobs",)),
    )
    return replace(base, **more)


def evaluated(inputs, out, engine="local"):
    return run_evaluation(inputs, out, engine=EngineOptions(engine, workers=2))


def section(report, key):
    (one,) = [each for each in report.sections if each.key == key]
    return one


def named(report, key, name):
    (one,) = [each for each in section(report, key).findings if each.name == name]
    return one
