"""Every error with its own sentences: problem, remedy and fields, word for word."""

import os
from pathlib import Path

import pytest

from histosynth.core.errors import (
    AdapterMismatch,
    BadField,
    BadLayouts,
    BadOption,
    BadPairing,
    BadRecipe,
    BadRun,
    BadSize,
    BadTileSet,
    BadWeights,
    BundleMismatch,
    Cancelled,
    ConflictingScales,
    Diverged,
    FetchFailed,
    FinerThanSlide,
    FolderInUse,
    HistosynthError,
    ImageTooLarge,
    MissingParts,
    MissingScale,
    NeedsExtra,
    NoFiles,
    NotRGB,
    NotWritable,
    OnnxMismatch,
    ResumeMismatch,
    ScaleMismatch,
    SizeMismatch,
    SplitLeak,
    StainNotFound,
    TooLittleMemory,
    UnknownClasses,
    UnknownLabel,
    UnmappedClasses,
    UnreadableImage,
    WorkerLost,
)

A = Path("a")
NAMES = tuple("abcdefgh")


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


# what builds the error, its problem, its remedy, its other fields
INPUTS = [
    (
        lambda: BadField(A, "it has 0 pages"),
        "a cannot be used as a density map: it has 0 pages.",
        "Give a map that `histosynth layout field` wrote, or see docs/layouts.md.",
        {"path": A, "reason": "it has 0 pages"},
    ),
    (
        lambda: BadLayouts(A, "it is cut off"),
        "a is no model of layouts: it is cut off.",
        "Install the package again, or fit the model again.",
        {"path": A, "reason": "it is cut off"},
    ),
    (
        lambda: UnreadableImage(A, "it is cut off"),
        "a cannot be read as an image: it is cut off.",
        "Open it in a viewer and save it again as an 8-bit RGB PNG or TIFF.",
        {"path": A, "reason": "it is cut off"},
    ),
    (
        lambda: UnreadableImage(A, "it is cut off", "Copy it again."),
        "a cannot be read as an image: it is cut off.",
        "Copy it again.",
        {"path": A, "reason": "it is cut off"},
    ),
    (
        lambda: NotRGB("a.png", "a grayscale picture", "Save it as RGB."),
        "a.png is a grayscale picture, not 8-bit RGB.",
        "Save it as RGB.",
        {"name": "a.png", "found": "a grayscale picture"},
    ),
    (
        lambda: UnknownClasses(numbers(7), numbers(21)),
        "Unknown nucleus class: 0, 1, 2, 3, 4, 5 and 1 more; known are 0, 1, 2, 3, 4, 5, 6, 7, 8, "
        "9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 1 more.",
        'Map yours with --classes map.toml, one line a class such as "Tumor" = "epithelial"; '
        "in a recipe with the source's map.",
        {"unknown": tuple(numbers(7)), "known": tuple(numbers(21))},
    ),
    (
        lambda: UnmappedClasses("a.geojson", numbers(51), numbers(22)),
        f"a.geojson holds 51 class(es) that the map does not name: {', '.join(numbers(50))} and 1 "
        f"more (it names {', '.join(numbers(20))} and 2 more).",
        'Add a line for each, e.g.  "Tumor" = "epithelial".',
        {"unmapped": tuple(numbers(51)), "mapped": tuple(numbers(22))},
    ),
    (
        lambda: UnknownLabel("lung", numbers(21)),
        f"Unknown label 'lung'; this bundle knows {', '.join(numbers(20))} and 1 more.",
        "Choose one of those, or leave the label out.",
        {"label": "lung", "known": tuple(numbers(21))},
    ),
    (
        lambda: UnknownLabel("lung", []),
        "Unknown label 'lung'; this bundle knows no labels.",
        "Choose one of those, or leave the label out.",
        {"label": "lung", "known": ()},
    ),
    (
        lambda: BadSize(300, 2000, 128, 1024, 8),
        "A tile of 300 x 2000 px cannot be painted: each side must be a multiple of 8 from 128 to "
        "1024 px.",
        "The nearest size that works is 304 x 1024 px.",
        {"width": 300, "height": 2000},
    ),
    (
        lambda: BadSize(50, 131, 128, 1024, 2),
        "A tile of 50 x 131 px cannot be painted: each side must be a multiple of 2 from 128 to "
        "1024 px.",
        "The nearest size that works is 128 x 132 px.",
        {"width": 50, "height": 131},
    ),
    (
        lambda: BadSize(131, 50, 128, 1024, 1),
        "A tile of 131 x 50 px cannot be painted: each side must be from 128 to 1024 px.",
        "The nearest size that works is 131 x 128 px.",
        {"width": 131, "height": 50},
    ),
    (
        lambda: MissingScale("a.svs"),
        "a.svs does not state its scale in micrometres per pixel.",
        "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed.",
        {"name": "a.svs", "stated": ""},
    ),
    (
        lambda: MissingScale("a.svs", 'MPP = "x"'),
        'a.svs states a scale that is not understood: MPP = "x".',
        "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed.",
        {"name": "a.svs", "stated": 'MPP = "x"'},
    ),
    (
        lambda: ConflictingScales("a.svs", "0.5 in its XML", "1 in its tags"),
        "a.svs states two scales that differ by more than 1 %: 0.5 in its XML, and 1 in its tags.",
        "Give the right one with --mpp, in micrometres per pixel.",
        {"name": "a.svs", "first": "0.5 in its XML", "second": "1 in its tags"},
    ),
    (
        lambda: ImageTooLarge(A, "20 x 20 px", 100),
        "a cannot be read as an image: 20 x 20 px is over the limit of 100 px.",
        "Cut it into smaller pictures; a slide is read as a tiled pyramid.",
        {
            "path": A,
            "reason": "20 x 20 px is over the limit of 100 px",
            "size": "20 x 20 px",
            "limit": 100,
        },
    ),
    (
        lambda: FinerThanSlide("a.svs", 0.25, 0.5),
        "Tiles of 0.25 um/px are finer than a.svs, which was scanned at 0.5 um/px: enlarging adds "
        "no detail.",
        "Set mpp of [tiles] (--tile-mpp) to 0.5 or more, or leave the slide out; if the slide "
        "states a wrong scale, give the right one with --mpp.",
        {"name": "a.svs", "tile_mpp": 0.25, "slide_mpp": 0.5},
    ),
    (
        lambda: BadRecipe("a.toml", ["unknown key x", "missing key y"]),
        "a.toml has 2 problems: unknown key x; missing key y.",
        "Correct them and run again; `histosynth recipe schema` lists every key.",
        {"name": "a.toml", "problems": ("unknown key x", "missing key y")},
    ),
    (
        lambda: BadPairing("nuclei file", ["a"], ["b", "c"]),
        "The folders do not pair by file name: 1 without a nuclei file (a); 2 nuclei file(s) "
        "without a partner (b, c).",
        "Give both files the same stem, e.g. a.png and a.csv.",
        {"left": ("a",), "right": ("b", "c"), "twice": ()},
    ),
    (
        lambda: BadPairing("mask", NAMES, []),
        "The folders do not pair by file name: 8 without a mask (a, b, c, d, e, f and 2 more).",
        "Give both files the same stem, e.g. a.png and a.csv.",
        {"left": NAMES, "right": (), "twice": ()},
    ),
    (
        lambda: BadPairing("mask", [], NAMES),
        "The folders do not pair by file name: 8 mask(s) without a partner (a, b, c, d, e, f and 2 "
        "more).",
        "Give both files the same stem, e.g. a.png and a.csv.",
        {"left": (), "right": NAMES, "twice": ()},
    ),
    (
        lambda: BadPairing("tiles", [], [], twice=["a.jpg", "a.png"]),
        "tiles holds 2 files that share a stem with another (a.jpg, a.png), and a stem stands "
        "for one of them only.",
        "Rename them, or leave one of each stem.",
        {"left": (), "right": (), "twice": ("a.jpg", "a.png")},
    ),
    (
        lambda: NoFiles(Path("absent"), [".csv", ".json"]),
        "absent is not there; wanted a file or folder of files ending in .csv, .json.",
        "Check the path.",
        {"path": Path("absent"), "suffixes": (".csv", ".json")},
    ),
    (
        lambda: NoFiles(Path(os.curdir), [".csv"]),
        ". holds no file ending in .csv.",
        "Check the path.",
        {"path": Path(os.curdir), "suffixes": (".csv",)},
    ),
    (
        lambda: NoFiles(Path(os.curdir), [".csv"], "Permission denied"),
        ". cannot be read (Permission denied); wanted files ending in .csv.",
        "Check the path.",
        {"path": Path(os.curdir), "suffixes": (".csv",)},
    ),
    (
        lambda: BadOption("--mpp", 72, "from 0.05 to 20"),
        "--mpp is 72, but must be from 0.05 to 20.",
        "Give another value.",
        {"option": "--mpp", "value": 72, "allowed": "from 0.05 to 20"},
    ),
    (
        lambda: BadTileSet(A, "there is no schema"),
        "a is no whole tile set: there is no schema.",
        "Make it again with histosynth prepare.",
        {"path": A, "reason": "there is no schema"},
    ),
    (
        lambda: StainNotFound("a.svs", "there is glass only"),
        "The stain of a.svs cannot be found: there is glass only.",
        'Leave it out, or keep its stain (stain.method = "none" in a recipe, `prepare tiles`).',
        {"name": "a.svs", "reason": "there is glass only"},
    ),
]
MISMATCHES = [
    (
        lambda: ScaleMismatch(0.25, 0.5, 0.03),
        "The scale is 0.25 um/px, but this bundle paints at 0.5 um/px (within 3%).",
        "Resample the tile and its nuclei to 0.5 um/px, or use another bundle.",
        {"got_mpp": 0.25, "want_mpp": 0.5},
    ),
    (
        lambda: SizeMismatch("mask", (64, 32), (128, 256)),
        "The mask is 64 x 32 px, but its image is 128 x 256 px.",
        "Draw the mask on the same tile, at the same size.",
        {"got": (64, 32), "want": (128, 256)},
    ),
    (
        lambda: AdapterMismatch("global", numbers(4), numbers(5), "another base"),
        "Adapter 'global' does not fit this base: another base; 4 missing (0, 1, 2 and 1 more); "
        "5 unexpected (0, 1, 2 and 2 more).",
        "Use the base it was trained on, or train the adapter again.",
        {"name": "global", "missing": tuple(numbers(4)), "unexpected": tuple(numbers(5))},
    ),
    (
        lambda: AdapterMismatch("global", ["a"], []),
        "Adapter 'global' does not fit this base: 1 missing (a).",
        "Use the base it was trained on, or train the adapter again.",
        {"name": "global", "missing": ("a",), "unexpected": ()},
    ),
    (
        lambda: AdapterMismatch("global", [], ["a"]),
        "Adapter 'global' does not fit this base: 1 unexpected (a).",
        "Use the base it was trained on, or train the adapter again.",
        {"name": "global", "missing": (), "unexpected": ("a",)},
    ),
    (
        lambda: BundleMismatch(A, "its sha256 is another"),
        "a does not belong to its bundle: its sha256 is another.",
        "Get the bundle again.",
        {"path": A, "reason": "its sha256 is another"},
    ),
    (
        lambda: OnnxMismatch(A, "its sha256 is another"),
        "a does not belong to its ONNX export: its sha256 is another.",
        "Export the bundle again, into a new folder: histosynth export onnx.",
        {"path": A, "reason": "its sha256 is another"},
    ),
    (
        lambda: SplitLeak(NAMES[:6]),
        "6 patient(s) stand in more than one split: a, b, c, d, e, f.",
        "Split by patient, so that each stands on one side only.",
        {"patients": NAMES[:6]},
    ),
    (
        lambda: ResumeMismatch(A, NAMES[:7]),
        "a was begun with another recipe (changed: a, b, c, d, e, f and 1 more).",
        "Use a new --out folder, or the recipe saved in that one.",
        {"run": A, "changed": NAMES[:7]},
    ),
]
UNAVAILABLE = [
    (
        lambda: Cancelled(3, 20),
        "Sampling was cancelled at step 3 of 20.",
        "Pictures that were complete are in `finished` of this error; call it again with the same "
        "seed for the others.",
        {"step": 3, "steps": 20, "finished": ()},
    ),
    (
        lambda: NotWritable(A, "the disk is full"),
        "a cannot be written: the disk is full.",
        "Choose another --out.",
        {"path": A, "reason": "the disk is full"},
    ),
    (
        lambda: FolderInUse(A, "process 7 on node1"),
        "a cannot be written: another run (process 7 on node1) works in it.",
        "Wait until it ends and run again, or choose another --out.",
        {
            "path": A,
            "reason": "another run (process 7 on node1) works in it",
            "owner": "process 7 on node1",
        },
    ),
    (
        lambda: FolderInUse(A, activity="writes it"),
        "a cannot be written: another run writes it.",
        "Wait until it ends and run again, or choose another --out.",
        {"path": A, "reason": "another run writes it", "owner": ""},
    ),
    (
        lambda: BadWeights(A, "it is cut off"),
        "a cannot be loaded as weights: it is cut off.",
        "Get the file again and compare its sha256 with the bundle's card.",
        {"path": A, "reason": "it is cut off"},
    ),
    (
        lambda: BadWeights(A, "it is cut off", "Copy it again."),
        "a cannot be loaded as weights: it is cut off.",
        "Copy it again.",
        {"path": A, "reason": "it is cut off"},
    ),
    (
        lambda: NeedsExtra("Ray", "ray"),
        "Ray is not installed.",
        "Install it: pip install 'histosynth[ray]'.",
        {"feature": "Ray", "extra": "ray"},
    ),
    (
        lambda: TooLittleMemory(
            "8 pictures of 512 x 512 px at a time",
            total=16 << 30,
            free=(3 << 30) // 2,
            remedy="2 at a time fit: use --batch 2.",
        ),
        "The GPU has 16.0 GiB of memory, and 1.5 GiB of them are free: too little for 8 pictures "
        "of 512 x 512 px at a time.",
        "2 at a time fit: use --batch 2.",
        {
            "what": "8 pictures of 512 x 512 px at a time",
            "total": 16 << 30,
            "free": (3 << 30) // 2,
        },
    ),
    (
        lambda: WorkerLost("Workers died 3 times without finishing anything", 12),
        "Workers died 3 times without finishing anything; 12 pieces of work are left.",
        "Give the workers more memory or use fewer --workers, and run again: what is done is kept.",
        {"left": 12},
    ),
    (
        lambda: FetchFailed("a.svs", "the server is busy"),
        "a.svs cannot be fetched: the server is busy.",
        "Run it again: what came is kept, and it goes on from there.",
        {"what": "a.svs", "reason": "the server is busy"},
    ),
    (
        lambda: FetchFailed("a.svs", "it is gone", "Choose another."),
        "a.svs cannot be fetched: it is gone.",
        "Choose another.",
        {"what": "a.svs", "reason": "it is gone"},
    ),
    (
        lambda: Diverged(7, "loss", float("inf")),
        "Training diverged at step 7: its loss is inf; what was saved before stays.",
        "Lower loop.learning_rate or raise loop.warmup, and begin again with a new --out.",
        {"step": 7, "what": "loss", "value": float("inf")},
    ),
    (
        lambda: BadRun(A, "state.pt is cut off"),
        "a cannot be gone on from: state.pt is cut off.",
        "Put the file back as it was, or begin again with a new --out.",
        {"path": A, "reason": "state.pt is cut off"},
    ),
    (
        lambda: MissingParts(A, 2, "column 3, row 1"),
        "2 blocks of the slide in a are missing or damaged, the first at column 3, row 1.",
        "Run it again: these blocks are made anew, and the others are kept.",
        {"folder": A, "count": 2, "first": "column 3, row 1"},
    ),
]


@pytest.mark.parametrize(
    ("build", "problem", "remedy", "fields"), [*INPUTS, *MISMATCHES, *UNAVAILABLE]
)
def test_an_error_has_these_sentences_and_fields(build, problem, remedy, fields):
    error = build()
    assert str(error) == f"{problem} {remedy}"
    assert vars(error) == {"problem": problem, "remedy": remedy, **fields}


def test_the_table_holds_every_error_that_has_sentences_of_its_own():
    waiting = [HistosynthError]
    own = set()
    while waiting:
        error_class = waiting.pop()
        if error_class.__module__.startswith("histosynth.core.errors"):
            waiting += error_class.__subclasses__()
            own |= {error_class} if "__init__" in vars(error_class) else set()
    rows = [*INPUTS, *MISMATCHES, *UNAVAILABLE]
    assert {type(row[0]()) for row in rows} == own - {HistosynthError}


def test_the_name_of_a_file_begins_the_problem_once():
    error = HistosynthError("It is so.", "Do this.").of(Path("a.png"))
    assert error.problem == "a.png: It is so."
    assert error.args == ("a.png: It is so. Do this.",)
    assert error.of("a.png") is error
    assert str(error) == "a.png: It is so. Do this."
