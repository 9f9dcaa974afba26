"""SAD, MSE and MAD over the parts of a trimap, as the portrait and animal papers report them.

The reference is core/evaluate.py of JizhiziLi/GFM, JizhiziLi/P3M and JizhiziLi/AIM, which agree.
They score float predictions; here mattes are rounded to the nearest k/255 first, like everywhere.
"""

import math

import torch
from torch import Tensor

from mattingzoo.metrics.accumulate import PerImage
from mattingzoo.metrics.mattes import check_same_shape, quantise, region_mask

PARTS = ("T", "FG", "BG")  # transition, foreground, background
PART_NAMES = tuple(f"{score}-{part}" for part in PARTS for score in ("SAD", "MSE", "MAD"))

FOREGROUND_8_BIT = 255


def part_scores(pred: Tensor, alpha: Tensor, trimap: Tensor) -> dict[str, Tensor]:
    """SAD, MSE and MAD per image over transition, foreground and background.

    Foreground and background are the pixels where the trimap is 1 and 0; the prediction counts
    there as it is. The transition is not a region: the prediction is overwritten with the trimap
    where that is 0 or 1, and the error is summed over the whole image, so a truth that differs
    from its trimap adds to it. MSE-T and MAD-T divide by the number of unknown pixels; without
    any, by the pixels of the trimap that are neither foreground nor background, which only an
    8-bit trimap of odd values has.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8, not overwritten before.
        alpha: True mattes, likewise.
        trimap: [B, 1, H, W], floats in {0, 0.5, 1} or uint8 with 255, 128 and 0.

    Returns:
        :data:`PART_NAMES` to errors [B], float64 on the device of the mattes: "SAD-T", "SAD-FG"
        and "SAD-BG" in thousands of alpha units, 0 if the part is empty; MSE and MAD plain, NaN
        if the part is empty. The papers print no MSE and MAD of foreground and background.

    Raises:
        ValueError: If shapes differ or values are outside their range.

    Source:
        calculate_sad_mse_mad and calculate_sad_fgbg in JizhiziLi/GFM:core/evaluate.py, the same
        in P3M and AIM. Without a pixel to divide by these give NaN or infinity; here always NaN.
    """
    pred, alpha = quantise(pred, alpha, mask=None)
    check_same_shape("trimap", trimap, pred)
    unknown = region_mask(trimap, "unknown")
    foreground = trimap == (FOREGROUND_8_BIT if trimap.dtype == torch.uint8 else 1)
    background = trimap == 0

    overwritten = pred.masked_fill(foreground, 255).masked_fill(background, 0)
    difference = pred.int() - alpha.int()
    unknown_pixels = _count(unknown)
    other_pixels = _count(~(foreground | background))
    parts = {
        "T": (
            overwritten.int() - alpha.int(),
            unknown_pixels.where(unknown_pixels > 0, other_pixels),
        ),
        "FG": (difference * foreground, _count(foreground)),
        "BG": (difference * background, _count(background)),
    }

    scores = {}
    for part, (error, pixels) in parts.items():
        absolute = error.abs().sum(dim=(1, 2, 3), dtype=torch.int64).double()
        squared = error.square().sum(dim=(1, 2, 3), dtype=torch.int64).double()
        divisor = pixels.double().masked_fill(pixels == 0, math.nan)
        scores[f"SAD-{part}"] = absolute / 255_000
        scores[f"MSE-{part}"] = squared / (255**2 * divisor)
        scores[f"MAD-{part}"] = absolute / (255 * divisor)
    return scores


def _count(mask: Tensor) -> Tensor:
    """Number of pixels per image [B], int64."""
    return mask.sum(dim=(1, 2, 3))


class PartMetrics(PerImage):
    """Means over images of :func:`part_scores`."""

    def __init__(self) -> None:
        super().__init__(PART_NAMES)

    def update(
        self, pred: Tensor, alpha: Tensor, trimap: Tensor, index: Tensor | None = None
    ) -> None:
        """Take in a batch [B, 1, H, W] each; ``index`` [B] as in :class:`PerImage`."""
        errors = part_scores(pred, alpha, trimap)
        self.add(torch.stack([errors[name] for name in self.names], dim=1), index)

    def compute(self) -> dict[str, Tensor]:
        """The means so far, float64 scalars under names such as "SAD-T"."""
        return dict(zip(self.names, self.mean(), strict=True))
