"""Everything histosynth refuses, as one tree. The command line catches only the root.

HistosynError
├── InputError           what was handed in cannot be used as it is
│   ├── UnreadableImage      NotRGB
│   ├── BadNuclei            UnknownKinds       UnmappedKinds
│   ├── BadSize              MissingScale       BadHole
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

from .base import HistosynError
from .inputs import (
    BadHole,
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
    UnknownKinds,
    UnknownLabel,
    UnmappedKinds,
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
    "BadHole",
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
    "HistosynError",
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
    "UnknownKinds",
    "UnknownLabel",
    "UnmappedKinds",
    "UnreadableImage",
    "WorkerLost",
]
