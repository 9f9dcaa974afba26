"""Pictures for people: panels that show at a glance what a model did."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.ops import composite

Picture = NDArray[np.uint8]


def to_bytes(picture: Tensor) -> Picture:
    """A float picture [C, H, W] in [0, 1] as 8 bits [H, W, 3] or, of one channel, [H, W]."""
    scaled = (picture.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return np.asarray(scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0))


def panel(
    batch: Batch, pred: Tensor, height: int, extras: Mapping[str, Tensor] | None = None
) -> Picture:
    """One row: image, trimap, prediction, truth, error, the cut-out on green, and the extras.

    Args:
        batch: A batch with image, alpha and trimap; its first sample is shown.
        pred: Mattes [B, 1, H, W] in [0, 1].
        height: Height of the row in pixels; pictures keep their proportions.
        extras: What else a model gave by name, [B, 1, H, W] or [B, 3, H, W] in [0, 1].

    Returns:
        [height, width, 3].
    """
    image, alpha, trimap = (batch[k][0] for k in ("image", "alpha", "trimap"))
    matte = pred[0].to(alpha)
    green = torch.tensor([0.1, 0.7, 0.3], device=image.device).view(3, 1, 1).expand_as(image)
    colour = batch["foreground"][0] if "foreground" in batch else image
    cutout = composite(colour[None], matte[None], green[None])[0]
    pictures = [image, trimap, matte, alpha, heat((matte - alpha).abs()), cutout]
    pictures += [picture[0] for picture in (extras or {}).values()]
    return np.concatenate([resize(colourful(to_bytes(p)), height) for p in pictures], axis=1)


def heat(error: Tensor) -> Tensor:
    """An error map [1, H, W] in [0, 1] from black over red and yellow to white [3, H, W]."""
    channels = [(3 * error).clamp(0, 1), (3 * error - 1).clamp(0, 1), (3 * error - 2).clamp(0, 1)]
    return torch.cat(channels)


def colourful(picture: Picture) -> Picture:
    """Gray to RGB; RGB passes."""
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def resize(picture: Picture, height: int) -> Picture:
    """Bring a picture to a height, with a thin dark line to its right."""
    rows, columns = picture.shape[:2]
    size = (max(round(columns * height / rows), 1), height)
    shrunk: Any = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.pad(shrunk, ((0, 0), (0, 4), (0, 0))), dtype=np.uint8)
