"""Every error that histosynth raises on purpose, as one tree. The command line catches the root.

HistosynthError
├── Cancelled              a callback of the user ended the work
├── InputError             an input cannot be used as it is
│   ├── BadField               a density map that cannot be used
│   ├── BadLayouts             a file of a model of layouts that is none, or a damaged one
│   ├── BadMask                a mask that leaves nothing to fill, or nothing known
│   ├── BadNuclei              centroids that cannot be used
│   ├── BadOption              the value of an option is out of its range
│   ├── BadPairing             two folders whose files do not pair by stem
│   ├── BadRecipe              a recipe file with one or more problems
│   ├── BadOrientation         lines along fibres that cannot be used
│   ├── BadRegions             region annotations that cannot be used
│   ├── BadSize                a tile size that the model cannot generate in one pass
│   ├── BadTable               a table of slides, patients or labels that cannot be used
│   ├── BadTileSet             a folder that is no tile set, or a damaged one
│   ├── ConflictingScales      a file states two scales that differ
│   ├── MissingScale           no micrometres per pixel are known
│   ├── NoFiles                a path without files to work on
│   ├── NotRGB                 a picture with another pixel type than 8-bit RGB
│   ├── StainNotFound          tissue in which the two dyes cannot be distinguished
│   ├── UnknownClasses         nucleus classes that the bundle was not trained on
│   ├── UnknownLabel           a tile label that the bundle was not trained on
│   ├── UnmappedClasses        classes of another tool that the class map does not name
│   └── UnreadableImage        a file that is no picture, is cut off, or is too large
│       └── ImageTooLarge          a picture of more pixels than are read at once
├── MismatchError          two valid things do not belong together
│   ├── AdapterMismatch        an adapter does not fit its base
│   ├── BundleMismatch         a file of a bundle is not the one that its card names
│   ├── FinerThanSlide         tiles finer than the scan of their slide
│   ├── OnnxMismatch           a file of an ONNX export is not the one that it names
│   ├── ResumeMismatch         a run folder holds another recipe
│   ├── ScaleMismatch          a scale too far from that of the bundle
│   ├── SizeMismatch           two arrays of one tile differ in size
│   └── SplitLeak              patients are on both sides of a split
└── UnavailableError       this machine or installation cannot do it
    ├── BadRun                 a run folder cannot be resumed
    ├── BadWeights             a weights file is missing, cut off or of other content
    ├── Diverged               training reached numbers that are not finite
    ├── FetchFailed            a download failed
    ├── MissingParts           parts of a slide are missing or damaged
    ├── NeedsExtra             an optional extra is not installed
    ├── NotWritable            an output path cannot be written
    │   └── FolderInUse            another run writes there
    ├── TooLittleMemory        a GPU cannot hold what is computed at a time
    └── WorkerLost             worker processes died repeatedly

Each error keeps its values as fields. Its text is two sentences: the problem and the remedy.
"""

from .base import HistosynthError, first_line
from .cancelled import Cancelled
from .inputs import (
    BadField,
    BadLayouts,
    BadMask,
    BadNuclei,
    BadOption,
    BadOrientation,
    BadPairing,
    BadRecipe,
    BadRegions,
    BadSize,
    BadTable,
    BadTileSet,
    ConflictingScales,
    ImageTooLarge,
    InputError,
    MissingScale,
    NoFiles,
    NotRGB,
    StainNotFound,
    UnknownClasses,
    UnknownLabel,
    UnmappedClasses,
    UnreadableImage,
)
from .mismatches import (
    AdapterMismatch,
    BundleMismatch,
    FinerThanSlide,
    MismatchError,
    OnnxMismatch,
    ResumeMismatch,
    ScaleMismatch,
    SizeMismatch,
    SplitLeak,
)
from .unavailable import (
    BadRun,
    BadWeights,
    Diverged,
    FetchFailed,
    FolderInUse,
    MissingParts,
    NeedsExtra,
    NotWritable,
    TooLittleMemory,
    UnavailableError,
    WorkerLost,
)

__all__ = [
    "AdapterMismatch",
    "BadField",
    "BadLayouts",
    "BadMask",
    "BadNuclei",
    "BadOption",
    "BadPairing",
    "BadRecipe",
    "BadOrientation",
    "BadRegions",
    "BadRun",
    "BadSize",
    "BadTable",
    "BadTileSet",
    "BadWeights",
    "BundleMismatch",
    "Cancelled",
    "ConflictingScales",
    "Diverged",
    "FetchFailed",
    "FinerThanSlide",
    "FolderInUse",
    "HistosynthError",
    "ImageTooLarge",
    "InputError",
    "MismatchError",
    "MissingParts",
    "MissingScale",
    "NeedsExtra",
    "NoFiles",
    "NotRGB",
    "NotWritable",
    "OnnxMismatch",
    "ResumeMismatch",
    "ScaleMismatch",
    "SizeMismatch",
    "SplitLeak",
    "StainNotFound",
    "TooLittleMemory",
    "UnavailableError",
    "UnknownClasses",
    "UnknownLabel",
    "UnmappedClasses",
    "UnreadableImage",
    "WorkerLost",
    "first_line",
]
