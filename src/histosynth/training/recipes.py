"""What a training recipe may say. Experiments are data: five tasks, one loop, no second trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..core.nuclei import ANY
from ..core.seeds import check_recipe_seed
from ..core.units import check_mpp
from .adapter_options import AdapterPlan
from .data.sources import TileSource
from .loop.plan import LoopPlan as LoopPlan


@dataclass(frozen=True)
class DataPlan:
    """Which tiles, at which scale."""

    root: Path
    """Folder that the sources' paths start from; relative to the recipe file."""
    mpp: float
    train: tuple[TileSource, ...]
    validation: tuple[TileSource, ...]
    classes: tuple[str, ...] = ()
    crop: int = 256
    stain_jitter: float = 0.1
    views: int = 16
    """Latent views cached per tile: pose x stain x sub-grid offset."""
    whole: bool = False
    """Leave out the offset, which costs a view up to 8 px: then tiles may be as small as the
    crops."""

    def __post_init__(self) -> None:
        check_mpp(self.mpp)
        if self.views < 1 or self.stain_jitter < 0:
            raise ValueError("views must be at least 1 and stain_jitter not negative")
        if len(set(self.classes)) < len(self.classes) or ANY in self.classes:
            raise ValueError(f"kinds must be different names, and none of them {ANY}")
        if not self.train or not self.validation:
            raise ValueError(
                "at least one source of training and one of validation tiles must be named"
            )
        if self.crop % 8 or self.crop < 64:
            raise ValueError(f"crop must be a multiple of 8 of at least 64, not {self.crop}")


@dataclass(frozen=True)
class AutoencoderPlan:
    """Shape and losses of the compact autoencoder (diffusers' AutoencoderDC)."""

    latent_channels: int = 16
    widths: tuple[int, ...] = (16, 64, 128, 256)
    encoder_layers: tuple[int, ...] = (0, 1, 2, 1)
    decoder_layers: tuple[int, ...] = (0, 2, 3, 1)
    gradient_weight: float = 0.5
    """Weight of the L1 distance of image gradients beside that of the image."""
    anchored: int = 8
    """So many latent channels follow the principal components of 8 x 8 px blocks. Left alone, an
    encoder whitens its latents, and white latents cannot be diffused (docs/log.md)."""
    anchor_weight: float = 1.0
    free_std: float = 0.3
    """Standard deviation of the other channels; the first anchored one has 1."""
    latent_noise: float = 0.04
    """Noise on latents in training: neighbours in latent space decode alike."""
    halved: float = 0.2
    """Chance that a step decodes latents at half size against the image at half size, which
    keeps latents smooth enough to be diffused (Skorokhodov et al. 2025; EQ-VAE, 2025)."""
    decoder_only: bool = False
    """Leave the encoder as it is, so that a base trained on its latents stays good."""

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.encoder_layers) == len(self.decoder_layers) == 4:
            raise ValueError("widths, encoder_layers and decoder_layers must hold 4 values each")
        if self.latent_channels < 1 or min(self.widths) < 1:
            raise ValueError("latent_channels and widths must be at least 1")
        if not 0 <= self.anchored <= self.latent_channels:
            raise ValueError(f"anchored must lie in 0..{self.latent_channels}, not {self.anchored}")


@dataclass(frozen=True)
class AutoencoderRecipe:
    """`task = "autoencoder"`."""

    task: Literal["autoencoder"]
    loop: LoopPlan
    data: DataPlan
    model: AutoencoderPlan = field(default_factory=AutoencoderPlan)
    start: str = ""
    """Folder of an autoencoder to go on from, or `compact` for the shipped one; empty: from
    scratch."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)


@dataclass(frozen=True)
class BasePlan:
    """Shape of a compact base and its structure encoder."""

    widths: tuple[int, ...] = (96, 160, 192)
    layers: int = 2
    head: int = 32
    fine: int = 32
    """Channels of structure concatenated to the latents."""
    structure_widths: tuple[int, ...] = (96, 128, 128)
    labels: tuple[str, ...] = ()
    sees_structure: bool = True
    """False: the base learns tissue alone, and the adapters bring the structure (the paper's
    way)."""

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.structure_widths):
            raise ValueError("widths must name at least one scale, and structure_widths as many")
        if any(width % 32 or width < 32 for width in self.widths):
            raise ValueError(f"widths must be multiples of 32 from 32, not {self.widths}")
        if any(width % 8 or width < 8 for width in self.structure_widths):
            raise ValueError(
                f"structure_widths must be multiples of 8 from 8, not {self.structure_widths}"
            )
        if self.layers < 1 or self.fine < 0 or not 1 <= self.head <= self.widths[-1]:
            raise ValueError(
                f"layers must be at least 1, fine not negative, head in 1..{self.widths[-1]}"
            )
        if len(set(self.labels)) < len(self.labels) or "" in self.labels:
            raise ValueError("labels must be different names")


@dataclass(frozen=True)
class DiffusionPlan:
    """What batches look like and what counts in them."""

    mask_share: float
    """Share of batches with holes; the others are whole tiles (everything is hole)."""
    full_share: float = 0.25
    """Share of items in holed batches whose hole is everything."""
    crops: tuple[int, ...] = (256,)
    """Crop sides, one drawn per batch; the batch keeps its number of pixels."""
    crop_shares: tuple[float, ...] = (1.0,)
    longest: float = 1.0
    """Above 1: tiles that are not square are cut to shapes of the crop's area, up to so many times
    longer one way than the other, one shape a batch; for tiles of very different sides."""
    batch_px: int = 0
    """loop.batch counts crops of this side; 0: of 256 px on a compact base, else of the largest
    side."""
    drop_nuclei: float = 0.12
    drop_classes: float = 0.0
    """Share of items that do not tell the kind of some of their nuclei, or of all of them."""
    drop_style: float = 0.08
    """Share of items without style; on a base that reads, without a prompt (classifier-free
    guidance)."""
    drop_label: float = 0.3
    drop_all: float = 0.0
    """Share of items that are told neither nuclei nor style, beside those that lose both by chance:
    what guidance leads away from on a base that reads (Brooks et al. 2023)."""
    style_noise: float = 0.25
    """Noise on the style vector in its standard deviations: it must not name a tile."""
    nucleus_weights: dict[str, float] = field(default_factory=dict)
    """Loss weight per class; see training/losses.py for the defaults."""
    min_snr: float = 0.0
    """Gamma of min-SNR weighting; 0: the network's own units."""
    times: Literal["", "logit-normal", "uniform"] = ""
    """How noise levels are drawn; empty: logit-normal for flow, each step alike for epsilon and
    v."""
    time_mean: float = 0.3
    time_spread: float = 1.1

    def __post_init__(self) -> None:
        if len(self.crops) != len(self.crop_shares) or abs(sum(self.crop_shares) - 1) > 1e-6:
            raise ValueError("crop_shares must name one share per crop, summing to 1")
        if min(self.crop_shares, default=0.0) < 0:
            raise ValueError(f"crop_shares must not be negative, not {self.crop_shares}")
        if not 1 <= self.longest <= 8:
            raise ValueError(f"longest must lie in [1, 8], not {self.longest}")
        if self.batch_px < 0:
            raise ValueError("batch_px must not be negative")
        if any(side % 16 or side < 64 for side in self.crops):
            raise ValueError(f"crops must be multiples of 16 from 64, not {self.crops}")
        drops = ("drop_nuclei", "drop_classes", "drop_style", "drop_label", "drop_all")
        if wrong := [
            n for n in ("mask_share", "full_share", *drops) if not 0 <= getattr(self, n) <= 1
        ]:
            raise ValueError(f"{', '.join(wrong)} must lie in [0, 1]")
        if (
            min(
                self.style_noise,
                self.time_spread,
                self.min_snr,
                *self.nucleus_weights.values(),
            )
            < 0
        ):
            raise ValueError(
                "style_noise, time_spread, min_snr and nucleus_weights must not be negative"
            )


@dataclass(frozen=True)
class DiffusionRecipe:
    """`task = "base"`, `"global"` or `"local"`."""

    task: Literal["base", "global", "local"]
    start: str
    """base: folder of the autoencoder. Adapters: folder of the bundle. `compact`: the shipped
    ones."""
    loop: LoopPlan
    data: DataPlan
    conditions: DiffusionPlan
    base: BasePlan = field(default_factory=BasePlan)
    adapter: AdapterPlan = field(default_factory=AdapterPlan)
    name: str = "compact"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        if not self.data.classes:
            raise ValueError("data.classes must name the classes of nuclei")
        if self.task == "base" and self.adapter.guided:
            raise ValueError(
                "adapter.guided is for adapters: a base has no base to learn guidance from"
            )


@dataclass(frozen=True)
class DetectorPlan:
    """Shape, losses and augmentation of the centroid detector."""

    widths: tuple[int, ...] = (24, 64, 112, 160)
    """Channels at strides 2, 4, 8, ..."""
    blocks: tuple[int, ...] = (1, 2, 2, 1)
    sigma_px: float = 2.5
    """Spread of the heat around a nucleus."""
    peak_weight: float = 9.0
    """A nucleus' centre counts this much more than empty ground."""
    class_weight: float = 0.5
    rarity: float = 0.5
    """0: every nucleus counts alike in telling classes; 1: every class does."""
    zoom: float = 0.12
    light: float = 0.05
    noise: float = 6.0
    """Standard deviations: of the log of scale, of the log of each channel's light, of grey
    levels."""
    aside: float = 0.12
    """Share of training patients who give no gradient: the threshold is chosen on them."""

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or min(self.widths, default=0) < 1:
            raise ValueError("widths must be positive, and blocks as many")
        if not 0 <= self.aside < 1 or not 0 <= self.rarity <= 1:
            raise ValueError("aside must lie in [0, 1) and rarity in [0, 1]")
        if (
            self.sigma_px <= 0
            or min(
                self.peak_weight,
                self.class_weight,
                self.zoom,
                self.light,
                self.noise,
            )
            < 0
        ):
            raise ValueError("sigma_px must be positive, weights and spreads not negative")


@dataclass(frozen=True)
class DetectorRecipe:
    """`task = "detector"`."""

    task: Literal["detector"]
    loop: LoopPlan
    data: DataPlan
    model: DetectorPlan = field(default_factory=DetectorPlan)
    name: str = "centroids"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        if not self.data.classes:
            raise ValueError("data.classes must name the classes to tell")
        stride = 2 ** len(self.model.widths)
        if self.data.crop % stride:
            raise ValueError(f"data.crop must be a multiple of {stride}, not {self.data.crop}")


TrainRecipe = AutoencoderRecipe | DiffusionRecipe | DetectorRecipe
RECIPES: dict[str, type[TrainRecipe]] = {
    "detector": DetectorRecipe,
    "autoencoder": AutoencoderRecipe,
    "base": DiffusionRecipe,
    "global": DiffusionRecipe,
    "local": DiffusionRecipe,
}
