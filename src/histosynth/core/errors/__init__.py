"""Everything histosynth refuses, as one tree. The command line catches only the root.

HistosynthError
├── InputError           what was handed in cannot be used as it is
│   ├── UnreadableImage      NotRGB
│   ├── BadNuclei            UnknownClasses       UnmappedClasses
│   ├── BadSize              MissingScale       BadMask
│   ├── BadRecipe            BadPairing         UnknownLabel
│   ├── BadOption            NoFiles            BadTileSet
│   └── BadRegions           StainNotFound      BadTable
├── MismatchError        two good things that do not belong together
│   ├── ScaleMismatch        SizeMismatch
│   ├── AdapterMismatch      BundleMismatch     SplitLeak
│   └── ResumeMismatch
└── UnavailableError     this machine or installation cannot do it
    ├── NotWritable          BadWeights
    ├── NeedsExtra           WorkerLost
    ├── FetchFailed          Diverged
    └── BadRun

Each error keeps its numbers as fields and says two sentences: what is wrong, and what to do next.
"""

from .base import HistosynthError
from .inputs import (
    BadMask,
    BadNuclei,
    BadOption,
    BadPairing,
    BadRecipe,
    BadRegions,
    BadSize,
    BadTable,
    BadTileSet,
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
    MismatchError,
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
    NeedsExtra,
    NotWritable,
    UnavailableError,
    WorkerLost,
)

__all__ = [
    "AdapterMismatch",
    "BadMask",
    "BadNuclei",
    "BadOption",
    "BadPairing",
    "BadRecipe",
    "BadRegions",
    "BadRun",
    "BadSize",
    "BadTable",
    "BadTileSet",
    "BadWeights",
    "BundleMismatch",
    "Diverged",
    "FetchFailed",
    "HistosynthError",
    "InputError",
    "MismatchError",
    "MissingScale",
    "NeedsExtra",
    "NoFiles",
    "NotRGB",
    "NotWritable",
    "ResumeMismatch",
    "ScaleMismatch",
    "SizeMismatch",
    "SplitLeak",
    "StainNotFound",
    "UnavailableError",
    "UnknownClasses",
    "UnknownLabel",
    "UnmappedClasses",
    "UnreadableImage",
    "WorkerLost",
]
