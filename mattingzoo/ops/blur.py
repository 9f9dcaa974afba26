"""Blurs of which every picture of a batch has its own."""

import torch.nn.functional as F
from torch import Tensor


def box_blur(picture: Tensor, radius: Tensor) -> Tensor:
    """Mean over the square of 2r + 1 pixels about every pixel, as far as it lies in the picture.

    Args:
        picture: [B, C, H, W].
        radius: Whole pixels [B], on the CPU; 0 leaves a picture exactly as it is.

    Returns:
        [B, C, H, W].
    """
    for r in sorted(set(radius.tolist()) - {0}):
        chosen = (radius == r).nonzero()[:, 0].to(picture.device, non_blocking=True)
        blurred = picture[chosen]
        for kernel, padding in (((1, 2 * r + 1), (0, r)), ((2 * r + 1, 1), (r, 0))):
            blurred = F.avg_pool2d(blurred, kernel, 1, padding, count_include_pad=False)
        picture = picture.index_copy(0, chosen, blurred)
    return picture
