"""Predicting where the subject is: in a square around it, at the size a network was trained at."""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from lightning.fabric import Fabric

from mattingzoo.inference import predict_with_extras, with_segmentation
from mattingzoo.io import Picture
from mattingzoo.module import MattingModule
from mattingzoo.segmentation import MARGIN, subject_box

#: Above which a pixel belongs to a connected part, as a share of 255.
COVERED = 0.05


class Box(NamedTuple):
    """Rows and columns of a picture, bottom and right exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    def cut(self, picture: Picture, size: int) -> Picture:
        """What is inside, as a square of ``size`` pixels; proportions change where it is none."""
        inside = picture[self.top : self.bottom, self.left : self.right]
        shrinks = max(inside.shape[:2]) > size
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(inside, (size, size), interpolation=interpolation))

    def paste(self, square: Picture, picture: Picture) -> Picture:
        """A copy of a picture with the square brought back into its place."""
        size = self.right - self.left, self.bottom - self.top
        shrinks = len(square) > max(size)
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pasted = picture.copy()
        pasted[self.top : self.bottom, self.left : self.right] = cv2.resize(
            square, size, interpolation=interpolation
        )
        return pasted


def box_around(mask: Picture) -> Box | None:
    """The square around a mask's subject, a tenth of its longer side larger all around, clipped.

    Args:
        mask: [H, W], 8 bits.

    Returns:
        The box, or None if the mask is empty.

    Source:
        Sengupta et al., CVPR 2020, and the released ``test_background-matting_image.py``.
    """
    tight = subject_box(mask)
    if tight is None:
        return None
    top, left, bottom, right = tight
    longer = max(bottom - top, right - left)
    reach = longer * (0.5 + MARGIN)
    y, x = (top + bottom) / 2, (left + right) / 2
    height, width = mask.shape
    return Box(
        max(round(y - reach), 0), max(round(x - reach), 0),
        min(round(y + reach), height), min(round(x + reach), width),
    )  # fmt: skip


def predict_in_box(
    module: MattingModule,
    fabric: Fabric,
    image: Picture,
    guides: Mapping[str, Picture],
    size: int,
) -> tuple[Picture, dict[str, Picture]]:
    """Predict in the box around the segmentation, brought to ``size``; nothing is opaque beyond.

    Args:
        module: A model that reads pictures of :data:`mattingzoo.inference.GUIDES` alone.
        fabric: Gives device and precision.
        image: [H, W, 3], 8 bits.
        guides: As of :func:`mattingzoo.inference.predict_with_extras`; a segmentation, or a
            captured background to make one with.
        size: Side of the square in pixels; 512 is the released code's.

    Returns:
        Matte [H, W] and the model's extras by name; colours beyond the box are the image's, all
        else is 0 there. Without a subject nothing is opaque, and there are no extras.

    Raises:
        ValueError: If there is nothing to say where the subject is.
    """
    guides = with_segmentation(image, guides)
    nothing = np.zeros(image.shape[:2], np.uint8)
    if "segmentation" not in guides:
        raise ValueError("a box needs a segmentation or a captured background; give one of them")
    box = box_around(guides["segmentation"])
    if box is None:
        return nothing, {}
    squares = {key: box.cut(picture, size) for key, picture in guides.items()}
    matte, extras = predict_with_extras(module, fabric, box.cut(image, size), guides=squares)
    beyond = {name: image if extra.ndim == 3 else nothing for name, extra in extras.items()}
    pasted = {name: box.paste(extra, beyond[name]) for name, extra in extras.items()}
    return box.paste(matte, nothing), pasted


def keep_largest(matte: Picture, count: int) -> Picture:
    """A matte with only its largest connected parts, those above 0.05.

    Args:
        matte: [H, W], 8 bits.
        count: Parts to keep; as many as there are subjects.

    Returns:
        [H, W]; what is not connected to them, faint pixels included, is 0.

    Source:
        The released script of Background Matting keeps one; the paper as many as there are people.
    """
    covered = (matte > COVERED * 255).astype(np.uint8)
    _, labels, found, _ = cv2.connectedComponentsWithStats(covered)
    areas = found[1:, cv2.CC_STAT_AREA]  # the first is what is not covered
    kept = 1 + np.argsort(-areas, kind="stable")[:count]
    return np.where(np.isin(labels, kept), matte, 0).astype(np.uint8)
