"""Premultiplied layers: what is drawn, blurred and averaged before it becomes colour and alpha.

A layer is float32 [H, W, 4]: red, green and blue times alpha, then alpha, all in [0, 1]. Averages
of layers (over an aperture, a shutter or the inside of a pixel) are layers again, and compositing
them is linear, which is what makes the mattes exact.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mattingzoo.procedural.noise import Array


def blank(size: int) -> Array:
    """A fully transparent layer [size, size, 4]."""
    return np.zeros((size, size, 4), np.float32)


def over(top: Array, bottom: Array) -> Array:
    """One layer [H, W, 4] in front of another."""
    return top + (1 - top[..., 3:]) * bottom


def paint(canvas: Array, colour: Array, mask: Array) -> None:
    """Lay colour [H, W, 3] or [3] over the canvas [H, W, 4] in place, with coverage [H, W]."""
    cover = mask[..., None]
    canvas *= 1 - cover
    canvas[..., :3] += colour * cover
    canvas[..., 3] += mask


def fill(side: int, outline: Array) -> Array:
    """Coverage [S, S] in [0, 1] of a polygon [P, 2] in frame units, four samples per side."""
    mask = np.zeros((4 * side, 4 * side), np.uint8)
    points = np.round((outline * 4 * side - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, shift=4)
    return resize(np.asarray(mask, np.float32), side) * np.float32(1 / 255)


def resize(picture: Array, size: int) -> Array:
    """A picture [H, W(, C)] at size x size: box average when smaller, bilinear when larger."""
    if picture.shape[0] == size:
        return picture
    mode = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (size, size), interpolation=mode), np.float32)


def blur(picture: Array, sigma: float) -> Array:
    """Gaussian blur, in pixels; below 0.2 the picture itself."""
    if sigma < 0.2:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def straight(layer: Array) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """True colour [H, W, 3] and alpha [H, W], both uint8, of a layer.

    Colour is the layer's divided by its alpha; where nothing or nearly nothing was drawn, it is
    carried in from around, so that it can be resampled and compressed.
    """
    alpha = np.clip(layer[..., 3], 0, 1)
    colour = _carry_outward(layer)
    return to_bytes(colour), to_bytes(alpha)


def _carry_outward(layer: Array, trusted: float = 1 / 128) -> Array:
    """Straight colour [H, W, 3]; below the trusted alpha it fades into that of coarser levels."""
    height, width = layer.shape[:2]
    alpha = layer[..., 3:]
    colour = layer[..., :3] / np.maximum(alpha, 1e-6)
    if max(height, width) == 1:
        return colour
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse = np.asarray(cv2.resize(layer, half, interpolation=cv2.INTER_AREA), np.float32)
    around = cv2.resize(_carry_outward(coarse), (width, height), interpolation=cv2.INTER_LINEAR)
    trust = np.minimum(alpha * np.float32(1 / trusted), 1)
    return np.asarray(around + trust * (colour - around), np.float32)


def to_bytes(picture: Array) -> NDArray[np.uint8]:
    """Values in [0, 1] as 8-bit, rounded and clipped."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(picture, 0), alpha=255.0), np.uint8)
