"""Fill in what a data set lacks and a model needs, where the field derives it.

What follows from what is said by :data:`mattingzoo.batch.DERIVED_FROM`; here stands how.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from mattingzoo.batch import DERIVED_FROM, Batch
from mattingzoo.ops import (
    box_from_alpha,
    composite,
    motion_from_image,
    motion_from_layers,
    perturb_background,
    points_from_alpha,
    segmentation_from_alpha,
    trimap_from_alpha,
)

#: Kernel diameters (smallest, largest) of trimaps made from alpha: DIM's in mmagic, 1 to 29.
TRIMAP_KERNELS = (1, 29)
BOX_JITTER = 0.1
#: Share of stills among samples whose subject may move.
STILLS = 0.5


def derive(
    batch: Batch,
    needed: Collection[str],
    generator: torch.Generator,
    trimap_kernels: tuple[int, int] = TRIMAP_KERNELS,
    box_jitter: float = BOX_JITTER,
    moving: bool = False,
) -> Batch:
    """Add the needed entries a batch lacks, in place; entries it has are never replaced.

    What one entry draws does not depend on which others are needed, so that models which read
    different keys are scored with the same trimaps, boxes and clicks.

    Args:
        batch: A batch on any device.
        needed: Keys a model reads.
        generator: Source of kernels, jitter and noise, on the CPU.
        trimap_kernels: Smallest and largest diameter of the kernels that draw a trimap.
        box_jitter: Largest shift of a box's side, as a share of its width or height.
        moving: Let motion show the subject moving in half of the samples, as if they were part of
            videos, where layers are known; else all are stills.

    Raises:
        KeyError: If a needed key is absent and cannot be derived.
    """
    if "motion" in needed and "motion" not in batch:
        needed = {*needed, "image"}
    for key in needed:
        if key not in batch and key not in DERIVED_FROM:
            raise KeyError(f"{key!r} is missing from the batch and cannot be derived")
    seeds = torch.randint(2**62, (len(DERIVED_FROM),), generator=generator).tolist()
    for seed, (key, sources) in zip(seeds, DERIVED_FROM.items(), strict=True):
        if key not in needed or key in batch:
            continue
        missing = [source for source in sources if source not in batch]
        if missing:
            raise KeyError(f"{key!r} is missing from the batch and {missing} to derive it from too")
        own = torch.Generator().manual_seed(seed)
        batch[key] = _derived(  # type: ignore[literal-required]
            key, batch, own, trimap_kernels, box_jitter, moving
        )
    return batch


def random_trimap(alpha: Tensor, kernels: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Trimaps [B, 1, H, W] of mattes, erosion and dilation drawn independently per sample."""
    low, high = kernels
    eroded, dilated = torch.randint(low, high + 1, (2, len(alpha)), generator=generator)
    return trimap_from_alpha(alpha, eroded, dilated)


def _derived(
    key: str,
    batch: Batch,
    generator: torch.Generator,
    trimap_kernels: tuple[int, int],
    box_jitter: float,
    moving: bool,
) -> Tensor:
    make: dict[str, Callable[[], Tensor]] = {
        "image": lambda: composite(batch["foreground"], batch["alpha"], batch["background"]),
        "trimap": lambda: random_trimap(batch["alpha"], trimap_kernels, generator),
        "segmentation": lambda: segmentation_from_alpha(batch["alpha"], generator),
        "box": lambda: box_from_alpha(batch["alpha"], box_jitter, generator),
        "points": lambda: points_from_alpha(batch["alpha"], 3, 3, generator),
        "captured_background": lambda: perturb_background(batch["background"], generator),
        "motion": lambda: _motion(batch, moving, generator),
    }
    return make[key]()


def _motion(batch: Batch, moving: bool, generator: torch.Generator) -> Tensor:
    stills = motion_from_image(batch["image"])
    if not moving or not batch.keys() >= {"foreground", "alpha", "background"}:
        return stills
    layers = batch["foreground"], batch["alpha"], batch["background"]
    still = torch.rand((len(stills), 1, 1, 1), generator=generator) < STILLS
    still = still.to(stills.device, non_blocking=True)
    return torch.where(still, stills, motion_from_layers(*layers, generator))
