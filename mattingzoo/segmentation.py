"""Soft segmentations of any rough mask, as Background Matting reads them."""

from typing import NamedTuple

import cv2
import numpy as np

from mattingzoo.io import Picture

#: Where a mask ends, as a share of 255.
THRESHOLD = 0.2
#: What the released constants refer to: a square of 512 pixels around the subject, which is larger
#: than the subject by a margin of a tenth of its longer side all around.
SIDE, MARGIN = 512, 0.1


class Softness(NamedTuple):
    """How a mask is softened, in pixels of a square of 512 around the subject.

    Source:
        Sengupta et al., CVPR 2020, ``senguptaumd/Background-Matting``: the defaults of
        ``test_background-matting_image.py``, the ranges of :func:`draw` of ``data_loader.py``.
    """

    erosions: int = 10  # by OpenCV's ellipse of 3 x 3, which is a cross
    dilations: int = 5  # by its ellipse of 5 x 5
    kernel: int = 31  # side of the Gaussian; OpenCV takes 0.3 ((k - 1) / 2 - 1) + 0.8 for its sigma


RELEASED = Softness()


def draw(rng: np.random.Generator) -> Softness:
    """Draw how to soften a training sample's mask, as stage 2 does."""
    erosions, dilations = int(rng.integers(10, 20)), int(rng.integers(3, 7))
    return Softness(erosions, dilations, int(rng.choice([21, 31, 41])))


def soften(mask: Picture, softness: Softness = RELEASED, scale: float | None = None) -> Picture:
    """Binarise a mask, erode, dilate and blur it.

    What lies outside the picture erodes nothing: a subject that the border cuts off stays whole
    there. (The released script repeats the last row downward instead.)

    Args:
        mask: [H, W], 8 bits.
        softness: How strongly.
        scale: Pixels of the mask for one of the 512; None measures the subject.

    Returns:
        [H, W], 8 bits.
    """
    binary = np.where(mask > THRESHOLD * 255, np.uint8(255), np.uint8(0))
    scale = subject_scale(mask) if scale is None else scale
    cross, ellipse = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)) for k in (3, 5))
    smaller = cv2.erode(binary, cross, iterations=round(softness.erosions * scale))
    larger = cv2.dilate(smaller, ellipse, iterations=round(softness.dilations * scale))
    kernel = 2 * round((softness.kernel - 1) / 2 * scale) + 1
    return np.asarray(cv2.GaussianBlur(larger, (kernel, kernel), 0))


def subject_scale(mask: Picture) -> float:
    """Pixels of a mask for one of the square of 512 that the released code resizes to."""
    box = subject_box(mask)
    if box is None:
        return 1.0
    top, left, bottom, right = box
    return (1 + 2 * MARGIN) * max(bottom - top, right - left) / SIDE


def subject_box(mask: Picture) -> tuple[int, int, int, int] | None:
    """Top, left, bottom and right of a mask, the latter two exclusive; None if it is empty."""
    covered = mask > THRESHOLD * 255
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if len(rows) == 0:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
