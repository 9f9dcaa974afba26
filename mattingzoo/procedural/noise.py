"""Random streams and smooth random fields, the raw material of every texture and deformation."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Computed in float32 unless a draw in float64 came in; layers are float32.
Array = NDArray[np.floating[Any]]
Rng = np.random.Generator


def stream(seed: int, index: int, *tags: int) -> Rng:
    """The random generator of one picture; other tags give an unrelated stream."""
    return np.random.default_rng(np.random.SeedSequence([seed, index, *tags]))


def value_noise(rng: Rng, size: int, columns: float, rows: float | None = None) -> Array:
    """Smooth noise [size, size] around 0, with ``columns`` x ``rows`` random knots per frame."""
    shape = (int(np.ceil(columns if rows is None else rows)) + 3, int(np.ceil(columns)) + 3)
    knots = rng.standard_normal(shape).astype(np.float32)
    step_x, step_y = columns / size, (columns if rows is None else rows) / size
    shift = rng.uniform(0, 1, 2)
    matrix = np.array([[step_x, 0, 1 + shift[0]], [0, step_y, 1 + shift[1]]], np.float32)
    if max(shape) > size:  # finer than the pixels: white noise, resampled
        return np.asarray(cv2.resize(knots, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    field = cv2.warpAffine(knots, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(field, np.float32)


def fractal_noise(
    rng: Rng, size: int, columns: float, octaves: int = 5, gain: float = 0.5, stretch: float = 1.0
) -> Array:
    """Sum of octaves of value noise [size, size], zero mean and unit deviation.

    Args:
        rng: Source of every draw.
        size: Side of the field in pixels.
        columns: Features per frame of the coarsest octave.
        octaves: How many, each twice as fine; those finer than a pixel are left out.
        gain: Amplitude of an octave over that of the one before.
        stretch: Features per frame downwards over those across; 0.1 draws vertical streaks.
    """
    field = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        frequency = columns * 2.0**octave
        part = value_noise(rng, size, frequency, frequency * stretch)
        if octave == 0 or frequency * max(1.0, stretch) < size:
            field += np.float32(gain**octave) * part
    return normalize(field)


def normalize(field: Array) -> Array:
    """A field shifted and scaled to zero mean and unit deviation."""
    mean, deviation = cv2.meanStdDev(field)
    return (field - np.float32(mean[0, 0])) * np.float32(1 / max(deviation[0, 0], 1e-6))


def grid(size: int) -> tuple[Array, Array]:
    """Coordinates x [1, size] and y [size, 1] of the pixel centres in frame units, 0 to 1."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    return axis[None, :], axis[:, None]


def displace(picture: Array, shift_x: Array, shift_y: Array) -> Array:
    """Picture [H, W(, C)] looked up at shifted places; shifts [H, W] in frame units."""
    size = picture.shape[0]
    axis = np.arange(size, dtype=np.float32)
    map_x = axis[None, :] + shift_x * np.float32(size)
    map_y = axis[:, None] + shift_y * np.float32(size)
    moved = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.float32)


def sample(field: Array, points: Array) -> Array:
    """Values of a field [S, S] or [S, S, C] at points [..., 2] in frame units, nearest pixel."""
    size = field.shape[0]
    index = np.clip((points * np.float32(size)).astype(np.int32), 0, size - 1)
    return field[index[..., 1], index[..., 0]]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, a smooth ramp between; falls where low > high."""
    t = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
