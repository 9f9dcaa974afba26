"""The public composition script of the Deep Image Matting release, bit for bit."""

import math

import numpy as np
from PIL import Image

from mattingzoo.io import Picture


def adobe_composite(
    foreground: Picture, alpha: Picture, background: Picture
) -> tuple[Picture, Picture]:
    """Compose one image as the script of the Deep Image Matting release does.

    The original loops over pixels in Python, so its arithmetic is that of 64-bit floats; with
    32-bit floats about one pixel in a thousand differs by 1.

    Args:
        foreground: [H, W, 3].
        alpha: [H, W].
        background: [H', W', 3], enlarged if it is smaller in one direction, then cut top left.

    Returns:
        The image [H, W, 3], truncated to 8 bits, and the background as it lies under it.

    Source:
        Adobe's Composition_code.py of the release (Xu et al., CVPR 2017); copies of it in
        ``senguptaumd/Background-Matting:Data_adobe/`` (first version; the later ones round).
    """
    fitted = fit_background(background, *alpha.shape)
    opacity = alpha[..., None] / 255.0  # float64
    image = opacity * foreground + (1 - opacity) * fitted
    return image.astype(np.uint8), np.ascontiguousarray(fitted)


def fit_background(background: Picture, height: int, width: int) -> Picture:
    """The public composition script's rule: enlarge a background that is too small, cut top left.

    Enlarged by the larger of the two ratios, sizes rounded up, bicubic as in Pillow; a background
    that is large enough in both directions keeps its size.

    Args:
        background: [H', W', 3], 8 bits.
        height: Rows of the foreground.
        width: Columns of the foreground.

    Returns:
        [height, width, 3], 8 bits.

    Source:
        ``senguptaumd/Background-Matting:Data_adobe/compose.py``.
    """
    rows, columns = background.shape[:2]
    size = enlarged_size(rows, columns, height, width)
    if size != (rows, columns):
        enlarged = Image.fromarray(background).resize(size[::-1], Image.Resampling.BICUBIC)
        background = np.asarray(enlarged)
    return background[:height, :width]


def enlarged_size(rows: int, columns: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a background once it covers ``height`` and ``width``."""
    ratio = max(height / rows, width / columns, 1.0)
    return math.ceil(rows * ratio), math.ceil(columns * ratio)
