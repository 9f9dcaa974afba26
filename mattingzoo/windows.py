"""What loader workers do besides decoding: cut a square window out of full-size pictures."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mattingzoo.adobe import enlarged_size
from mattingzoo.recipe import Recipe
from mattingzoo.segmentation import subject_box
from mattingzoo.source import Pictures

Picture = NDArray[Any]

#: Smallest and largest margin of a window around the subject, as a share of its longer side.
MARGINS = (0.1, 0.4)


def cut(pictures: Pictures, recipe: Recipe, rng: np.random.Generator) -> tuple[Pictures, int]:
    """Cut one window for training, centred as the recipe says where the picture allows.

    Args:
        pictures: Full-size pictures of a :class:`mattingzoo.source.Source`. Unknown is where alpha
            is fractional; without alpha the segmentation says it, without both any pixel will do.
        recipe: Gives the window's place and side, and the placing of the background.
        rng: Source of side and centre.

    Returns:
        Windows of one side, and that side in pixels.

    Source:
        Xu et al., CVPR 2017, section 3.4: crops centred on unknown pixels, of sides 320, 480, 640.
        ``recipe.window="subject"``: Sengupta et al., CVPR 2020, ``VideoData`` of the released code.
    """
    guide = _guide(pictures)
    if recipe.window == "subject":
        top, left, side = _around_subject(guide, rng)
    else:
        side = min(int(rng.choice(recipe.crop_sides)), *guide.shape)
        top, left = _corner(guide, side, recipe.window, rng)
    windows = {}
    for key, picture in pictures.items():
        if key != "background" or "image" in pictures:  # a background under its image stays there
            windows[key] = picture[top : top + side, left : left + side]
        elif "resolution" in recipe.rssn:
            windows[key] = _squeezed(picture, guide.shape, top, left, side)
        elif recipe.background == "aligned":
            windows[key] = _aligned(picture, guide.shape, top, left, side)
        else:
            windows[key] = _anywhere(picture, side, rng)
    return windows, side


def pad_square(picture: Picture, side: int) -> Picture:
    """Repeat right and bottom edges up to ``side``, so that windows of differing side stack."""
    bottom, right = side - picture.shape[0], side - picture.shape[1]
    mode = cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(picture, 0, bottom, 0, right, mode))


def _guide(pictures: Pictures) -> Picture:
    """What says where the subject is [H, W]: alpha, or else the segmentation, or nothing."""
    for key in ("alpha", "segmentation"):
        if key in pictures:
            return pictures[key]
    return np.zeros(pictures["image"].shape[:2], np.uint8)


def _corner(guide: Picture, side: int, center: str, rng: np.random.Generator) -> tuple[int, int]:
    """Top left corner of a window that lies inside and is centred on an unknown or any pixel."""
    height, width = guide.shape
    unknown = np.flatnonzero((guide > 0) & (guide < 255)) if center == "unknown" else np.empty(0)
    pixel = rng.choice(unknown) if len(unknown) else rng.integers(height * width)
    y, x = divmod(int(pixel), width)
    return _inside(y - side // 2, height - side), _inside(x - side // 2, width - side)


def _around_subject(guide: Picture, rng: np.random.Generator) -> tuple[int, int, int]:
    """Top left corner and side of a square around the subject, as far as the picture reaches."""
    height, width = guide.shape
    margin = rng.uniform(*MARGINS)
    top, left, bottom, right = subject_box(guide) or (0, 0, height, width)
    longer = max(bottom - top, right - left)
    side = min(round(longer * (1 + 2 * margin)), height, width)
    return (
        _inside((top + bottom - side) // 2, height - side),
        _inside((left + right - side) // 2, width - side),
        side,
    )


def _inside(start: int, largest: int) -> int:
    return min(max(start, 0), largest)


def _aligned(
    background: Picture, shape: tuple[int, ...], top: int, left: int, side: int
) -> Picture:
    """The window of fit_background's result, without enlarging the rest of it."""
    rows, columns = background.shape[:2]
    size = enlarged_size(rows, columns, shape[0], shape[1])
    if size == (rows, columns):
        return background[top : top + side, left : left + side]
    y, x = rows / size[0], columns / size[1]
    box = (left * x, top * y, min((left + side) * x, columns), min((top + side) * y, rows))
    picture = Image.fromarray(background)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box))


def _squeezed(
    background: Picture, shape: tuple[int, ...], top: int, left: int, side: int
) -> Picture:
    """The window of the whole background resized to ``shape``, its aspect ratio ignored."""
    rows, columns = background.shape[:2]
    y, x = rows / shape[0], columns / shape[1]
    box = (left * x, top * y, (left + side) * x, (top + side) * y)
    picture = Image.fromarray(background)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box))


def _anywhere(background: Picture, side: int, rng: np.random.Generator) -> Picture:
    """A window of random place and size, at least ``side`` of the background if it has that."""
    shorter = min(background.shape[:2])
    taken = int(rng.integers(min(side, shorter), shorter + 1))
    top = int(rng.integers(background.shape[0] - taken + 1))
    left = int(rng.integers(background.shape[1] - taken + 1))
    window = background[top : top + taken, left : left + taken]
    interpolation = cv2.INTER_AREA if taken > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(window, (side, side), interpolation=interpolation))
