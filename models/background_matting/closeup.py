"""Prediction as the authors test: the subject's surroundings, resized to one square.

The public weights have seen people that fill a square of 512 pixels, and know no other scale.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.models.background_matting.network import (
    BackgroundMattingNet,
    BackgroundMattingOutput,
)
from mattingzoo.models.background_matting.recompose import SUBJECT

MARGIN = 0.1  # of the box's longer side
FAINT = 0.05  # at or below it a matte connects nothing
SEEN = ("image", "captured_background", "segmentation", "motion")


class Box(NamedTuple):
    """Rows and columns of a picture, ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int


def predict_closeup(
    network: BackgroundMattingNet, batch: Batch, side: int
) -> BackgroundMattingOutput:
    """Predict each picture's subject at one size; around it the matte is 0.

    Args:
        network: What predicts.
        batch: Holds the four pictures that it reads, of any size.
        side: Side of the square that surroundings are resized to, their proportions not kept.

    Returns:
        Mattes and colours of the pictures' size; colours around the subject are the image's.

    Source:
        ``senguptaumd/Background-Matting:test_background-matting_image.py``.
    """
    alpha = torch.zeros_like(batch["segmentation"], dtype=torch.float32)
    foreground = batch["image"].clone()
    for sample, segmentation in enumerate(batch["segmentation"]):
        box = surroundings(segmentation[0])
        rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
        cut = [batch[key][sample : sample + 1, :, rows, columns] for key in SEEN]  # type: ignore[literal-required]
        seen = network(*(resized(picture, (side, side)) for picture in cut))
        size = (box.bottom - box.top, box.right - box.left)
        alpha[sample, :, rows, columns] = resized(seen.alpha, size)[0]
        foreground[sample, :, rows, columns] = resized(seen.foreground, size)[0]
    return BackgroundMattingOutput(alpha, foreground)


def surroundings(segmentation: Tensor) -> Box:
    """The square about a subject [H, W], as far as the picture reaches; all if there is none.

    From the subject's top left corner it reaches a tenth of the longer side up and left, and that
    side and a tenth down and right.
    """
    height, width = segmentation.shape
    subject = (segmentation > SUBJECT).cpu().numpy()
    rows, columns = np.flatnonzero(subject.any(axis=1)), np.flatnonzero(subject.any(axis=0))
    if len(rows) == 0:
        return Box(0, height, 0, width)
    top, left = int(rows[0]), int(columns[0])
    longer = max(int(rows[-1]) - top, int(columns[-1]) - left) + 1
    margin = round(MARGIN * longer)
    return Box(
        max(top - margin, 0),
        min(top + longer + margin, height),
        max(left - margin, 0),
        min(left + longer + margin, width),
    )


def resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a picture [B, C, H, W] to a size, bilinearly, averaging where it shrinks."""
    return F.interpolate(picture.float(), size, mode="bilinear", antialias=True)


def keep_largest(alpha: Tensor, count: int) -> Tensor:
    """Keep so many of the largest pieces of each matte [B, 1, H, W], and let all else be 0.

    Pieces are what is connected, corners included, where alpha is above 0.05.
    """
    kept = [_largest(matte[0], count) for matte in alpha.detach().cpu().numpy()]
    return alpha * torch.from_numpy(np.stack(kept)).unsqueeze(1).to(alpha)


def _largest(matte: NDArray[Any], count: int) -> NDArray[np.bool_]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (matte > FAINT).astype(np.uint8), connectivity=8
    )
    areas = stats[1:, cv2.CC_STAT_AREA]  # the first is what lies around them
    largest = 1 + np.argsort(-areas, kind="stable")[:count]
    kept: NDArray[np.bool_] = np.isin(labels, largest)
    return kept
