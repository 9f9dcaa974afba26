"""Optical flow between the frames of a clip: estimate it, and look frames up along it."""

import cv2
import numpy as np
import torch
from torch import Tensor

from mattingzoo.metrics.colour import quantise_image


def farneback_flow(frames: Tensor) -> Tensor:
    """Motion from each frame to the next by Farneback's method, on the CPU.

    Args:
        frames: True mattes [T, 1, H, W] or RGB images [T, 3, H, W] of one clip, floats in [0, 1]
            or uint8.

    Returns:
        Flow [T - 1, 2, H, W] in pixels, x to the right, then y down, float32 on the device of the
        frames. Versions of OpenCV may differ in it.

    Raises:
        ValueError: If the frames have another shape or leave [0, 1].

    Source:
        OpenCV with the settings of nowsyn/DVM:evaluation/metric.py, which follows true mattes.
    """
    if frames.ndim != 4 or frames.shape[1] not in (1, 3) or frames.numel() == 0:
        raise ValueError(
            f"frames must be [T, 1, H, W] or [T, 3, H, W] and not empty, "
            f"got shape {tuple(frames.shape)}; pass the mattes or the images of one clip"
        )
    channels_last = quantise_image("frames", frames).cpu().permute(0, 2, 3, 1).contiguous()
    images = list(channels_last.numpy())  # [H, W, 3 or 1], uint8
    if frames.shape[1] == 3:
        images = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    flow = torch.empty(len(images) - 1, 2, *frames.shape[2:])
    for field, earlier, later in zip(flow, images[:-1], images[1:], strict=True):
        found = cv2.calcOpticalFlowFarneback(
            earlier,
            later,
            None,
            pyr_scale=0.5,
            levels=5,
            winsize=10,
            iterations=2,
            poly_n=7,
            poly_sigma=1.5,
            flags=cv2.OPTFLOW_FARNEBACK_GAUSSIAN,
        )
        field.copy_(torch.from_numpy(np.moveaxis(found, 2, 0)))
    return flow.to(frames.device)


def follow(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Look up an image at x + flow(x), linearly between pixels; exact for whole numbers.

    Args:
        image: Values of the later frame [H, W], float.
        flow: Motion from the earlier frame [2, H, W] in pixels, x then y; NaN where unknown.

    Returns:
        Values at the pixels of the earlier frame [H, W], and whether they are known and lie inside
        the image [H, W], bool; elsewhere the values mean nothing.
    """
    height, width = image.shape
    known = flow.isfinite().all(dim=0)
    limit = max(height, width)  # what moves further is outside as well, and this fits an integer
    flow = flow.to(image.dtype).where(known, 0).clamp(-limit, limit)
    whole = flow.floor()
    x_part, y_part = flow - whole
    x = torch.arange(width, device=image.device) + whole[0].long()
    y = torch.arange(height, device=image.device)[:, None] + whole[1].long()
    inside = known & (x >= 0) & (y >= 0)
    inside &= (x + (x_part > 0) < width) & (y + (y_part > 0) < height)
    left, right = x.clamp(0, width - 1), (x + 1).clamp(0, width - 1)
    top, bottom = y.clamp(0, height - 1), (y + 1).clamp(0, height - 1)
    upper = image[top, left].lerp(image[top, right], x_part)
    lower = image[bottom, left].lerp(image[bottom, right], x_part)
    return upper.lerp(lower, y_part), inside
