"""What a camera does to solid things: motion blur and defocus, as averages of layers."""

from collections.abc import Iterable

import cv2
import numpy as np

from mattingzoo.procedural.foliage import foliage
from mattingzoo.procedural.layer import over, resize
from mattingzoo.procedural.noise import Array, Rng, grid, value_noise
from mattingzoo.procedural.solids import move, solid, solids


def shutter(layer: Array, motions: Iterable[Array]) -> Array:
    """The layer a camera records while the subject moves.

    Args:
        layer: The subject at rest [S, S, 4].
        motions: Affine maps [2, 3] of frame coordinates, equally spaced in time.

    Returns:
        The average of the moved layers. Compositing it equals averaging the composites, since
        compositing is linear in the premultiplied layer.
    """
    total, count = np.zeros_like(layer), 0
    for motion in motions:
        total += move(layer, motion)
        count += 1
    return total * np.float32(1 / count)


def motion_blur(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of a thing that moves, turns or comes nearer."""
    layer = solid(rng, size)
    scale = rng.uniform(0.75, 1.1)
    reach = np.exp(rng.uniform(np.log(0.03), np.log(0.2)))
    angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.6)
    turn = rng.choice([0, 0, rng.normal(0, 0.3)])
    zoom = rng.choice([0, 0, rng.normal(0, 0.12)])
    centre = 0.5 + rng.uniform(-0.08, 0.08, 2)
    longest = reach + 0.4 * (abs(turn) + abs(zoom))
    steps = int(np.clip(size * longest / 1.5, 12, 44))
    motions = []
    for t in (np.arange(steps) + 0.5) / steps - 0.5:
        course = angle + bend * t
        place = centre + reach * t * np.array([np.cos(course), np.sin(course)])
        motions.append(_similarity(scale * (1 + zoom * t), turn * t, place))
    return shutter(layer, motions)


def _similarity(scale: float, angle: float, centre: Array) -> Array:
    """Map [2, 3] that scales and turns about the frame's middle, then moves that to a centre."""
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[a, -b, 0], [b, a, 0]])
    matrix[:, 2] = centre - matrix[:, :2] @ np.array([0.5, 0.5])
    return matrix


def aperture(radius: float, blades: int = 0, angle: float = 0.0) -> Array:
    """Disc of confusion of a radius in pixels, as a kernel that sums to 1; 0 blades is round."""
    half = int(np.ceil(radius)) + 1
    fine = 8
    side = (2 * half + 1) * fine
    axis = (np.arange(side) + 0.5) / fine - half - 0.5
    x, y = axis[None, :], axis[:, None]
    far = np.hypot(x, y)
    if blades:
        sector = np.pi / blades
        around = np.mod(np.arctan2(y, x) + angle, 2 * sector) - sector
        far = far * np.cos(around) / np.cos(sector) ** 0.5
    cover = (far <= radius).astype(np.float32)
    kernel = cv2.resize(cover, (2 * half + 1, 2 * half + 1), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel / kernel.sum(), np.float32)


def defocus_by(layer: Array, radius: float, blades: int = 0, angle: float = 0.0) -> Array:
    """A layer averaged over the disc of confusion, continued beyond the border of the frame.

    Discs of more than a few pixels are averaged at half or a quarter of the resolution.
    """
    size, fold = layer.shape[0], 1
    while radius / fold > 5 and size / fold > 32:
        fold *= 2
    small = resize(layer, max(1, round(size / fold)))
    kernel = aperture(radius * small.shape[0] / size, blades, angle)
    seen = cv2.filter2D(small, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return resize(np.clip(np.asarray(seen, np.float32), 0, 1), size)


def defocus(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of things out of focus: all alike, in two depths, or along a slope."""
    blades = int(rng.choice([0, 0, 5, 6, 7]))
    radius = size * np.exp(rng.uniform(np.log(0.01), np.log(0.06)))
    angle = rng.uniform(0, 1)
    choice = rng.integers(3)
    if choice == 0:
        return defocus_by(_subject(rng, size), radius, blades, angle)
    if choice == 1:
        front = defocus_by(solids(rng, size, 1), radius, blades, angle)
        return over(front, defocus_by(_subject(rng, size), 0.35 * radius, blades))
    return _sloped(rng, _subject(rng, size), radius, blades)


def _subject(rng: Rng, size: int) -> Array:
    if rng.random() < 0.3:
        return foliage(rng, size)
    return solid(rng, size) if rng.random() < 0.5 else solids(rng, size, int(rng.integers(2, 4)))


def _sloped(rng: Rng, layer: Array, radius: float, blades: int) -> Array:
    """Sharpness that falls off along a direction: neighbouring blurs mixed pixel by pixel."""
    size = layer.shape[0]
    x, y = grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    depth = (x - 0.5) * np.float32(np.cos(angle)) + (y - 0.5) * np.float32(np.sin(angle))
    depth = np.clip(0.5 + depth + 0.05 * value_noise(rng, size, 2), 0, 1)[..., None] * 2
    levels = [layer] + [defocus_by(layer, part * radius, blades) for part in (0.5, 1.2)]
    mixed = [level * np.maximum(0, 1 - np.abs(depth - k)) for k, level in enumerate(levels)]
    return np.asarray(mixed[0] + mixed[1] + mixed[2], np.float32)
