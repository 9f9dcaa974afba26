"""How whole pictures are predicted: at what sizes, in how many passes."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

from mattingzoo.models.gfm.merge import glance_map, merge
from mattingzoo.models.gfm.network import STRIDE, GFMNet

Strategy = Literal["hybrid", "resize"]

LONGEST = 1600  # of a pass, in pixels; beyond it the aspect ratio is not kept


class Mattes(NamedTuple):
    """What is known of a picture, at its own size."""

    alpha: Tensor  # [B, 1, H, W] in [0, 1]
    glance: (
        Tensor | None
    )  # [B, 1, H, W] in [0, 1], see `glance_map`; None where several are blended
    focus: Tensor | None  # [B, 1, H, W] in [0, 1]; likewise


def hybrid(
    network: GFMNet,
    image: Tensor,
    glance_ratio: float,
    focus_ratio: float,
    max_long_side: int | None = None,
) -> Mattes:
    """Glance from a small pass, focus from a larger one, merged at the picture's size.

    Where the enlarged glance lies between two classes, focus counts (TT), or the glance as it is
    (FT, BT).

    Args:
        network: A network of one representation.
        image: [B, 3, H, W] in [0, 1], any size.
        glance_ratio: Sides of the first pass as a share of the picture's; 1/3 in the paper.
        focus_ratio: Sides of the second; 1/2.
        max_long_side: Long side that no pass exceeds, in pixels; not in the paper.

    Source:
        JizhiziLi/GFM:core/test.py, HYBRID.
    """
    size = image.shape[-2:]
    first, second = (
        network(at_ratio(image, ratio, max_long_side)).parts[0]
        for ratio in (glance_ratio, focus_ratio)
    )
    glance = resize(glance_map(first.glance), *size)
    focus = resize(second.focus, *size)
    return Mattes(merge(glance, focus, network.representations[0]), glance, focus)


def single(
    network: GFMNet, image: Tensor, ratio: float, max_long_side: int | None = None
) -> Mattes:
    """The network's own matte, from one pass.

    Args:
        network: Any network.
        image: [B, 3, H, W] in [0, 1], any size.
        ratio: Sides of the pass as a share of the picture's; 1/2 in the paper, 1/3 of RIM.
        max_long_side: Long side that the pass does not exceed, in pixels; not in the paper.

    Source:
        JizhiziLi/GFM:core/test.py, RESIZE.
    """
    size = image.shape[-2:]
    output = network(at_ratio(image, ratio, max_long_side))
    alpha = resize(output.alpha.clamp(0, 1), *size)
    if len(output.parts) > 1:
        return Mattes(alpha, None, None)
    part = output.parts[0]
    return Mattes(alpha, resize(glance_map(part.glance), *size), resize(part.focus, *size))


def at_ratio(image: Tensor, ratio: float, max_long_side: int | None = None) -> Tensor:
    """A picture at a share of its size, or as near as the network's stride allows."""
    height, width = image.shape[-2:]
    if max_long_side is not None:
        ratio = min(ratio, max_long_side / max(height, width))
    return resize(image, pass_side(height, ratio), pass_side(width, ratio))


def pass_side(side: int, ratio: float) -> int:
    """A share of a side, down to a multiple of the stride, at least one stride, at most 1,600."""
    share = int(side * ratio + 1e-6)  # 294 * (192 / 294) is less than 192
    return min(max(share // STRIDE, 1) * STRIDE, LONGEST)


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Resize [B, C, H, W] bilinearly, smoothing before a side shrinks.

    As scikit-image does, with which the published figures were made: a Gaussian of standard
    deviation (factor - 1) / 2, cut off at four of them. Borders may differ by half a pixel's worth.
    """
    sides = picture.shape[-2:]
    sigmas = [max(0.0, (s / t - 1) / 2) for s, t in zip(sides, (height, width), strict=True)]
    with torch.autocast(picture.device.type, enabled=False):
        picture = picture.float()
        if any(sigmas):
            # Reflecting takes less than the side itself, which matters for results of one pixel.
            reach = [min(int(4 * g + 0.5), s - 1) for g, s in zip(sigmas, sides, strict=True)]
            kernel = (2 * reach[0] + 1, 2 * reach[1] + 1)
            # A kernel of one pixel is 1, whatever its deviation, which must not be 0.
            deviation = (sigmas[0] or 1.0, sigmas[1] or 1.0)
            picture = gaussian_blur2d(picture, kernel, deviation, border_type="reflect")
        return F.interpolate(picture, size=(height, width), mode="bilinear", align_corners=False)
