"""Outdoor backgrounds: skies, hills, woods out of focus, meadows, water, lights at night."""

import numpy as np

from mattingzoo.procedural.cameras import aperture
from mattingzoo.procedural.layer import blank, blur, resize
from mattingzoo.procedural.materials import any_colour, palette, shade
from mattingzoo.procedural.noise import (
    Array,
    Rng,
    displace,
    fractal_noise,
    grid,
    smoothstep,
    value_noise,
)
from mattingzoo.procedural.strands import normal
from mattingzoo.procedural.strokes import draw, make_strokes


def sky(rng: Rng, size: int) -> Array:
    """A sky [size, size, 3] from zenith to horizon, with clouds."""
    _, y = grid(size)
    colours = palette(rng, "sky", "sky", "dusk", "stone", "night")
    ground = shade(colours, np.broadcast_to(0.15 + 0.75 * y, (size, size)))
    clouds = fractal_noise(rng, size, rng.uniform(1.5, 3.5), 6, 0.55, stretch=rng.uniform(1, 3))
    cover = smoothstep(rng.uniform(-0.3, 0.8), 2.2, clouds)[..., None]
    relief = clouds - displace(clouds, np.full_like(clouds, 0.01), np.full_like(clouds, -0.03))
    white = np.clip(colours[-1] * (0.95 + 0.12 * relief[..., None]), 0, 1)
    return np.asarray(ground + cover * (white - ground))


def hills(rng: Rng, size: int) -> Array:
    """Ranges of hills or trees under a sky, paler with distance."""
    picture = sky(rng, size)
    _, y = grid(size)
    colours = palette(rng, "leaves", "earth", "dry", "autumn", "sea")
    haze = picture[size // 2].mean(axis=0)
    ranges = int(rng.integers(2, 6))
    for k in range(ranges):
        near = (k + 1) / ranges
        rough = fractal_noise(rng, size, rng.uniform(1, 5), 6, rng.uniform(0.4, 0.65))[size // 2]
        top = 0.3 + 0.55 * near + 0.06 * rough * rng.uniform(0.4, 1.6)
        cover = smoothstep(-0.002, 0.003, y - top[None, :])[..., None]
        grain = resize(fractal_noise(rng, (size + 1) // 2, 10 + 30 * (1 - near), 4, 0.7), size)
        surface = shade(colours, 0.15 + 0.45 * near * rng.uniform(0.6, 1) + 0.12 * near * grain)
        surface = surface * near + haze * (1 - near)
        picture = picture + cover * (surface - picture)
    return picture


def woods(rng: Rng, size: int) -> Array:
    """Leaves and light between them, far out of focus, trunks at times."""
    small = size // 2
    field = fractal_noise(rng, small, rng.uniform(3, 8), 5, 0.7)
    picture = shade(palette(rng, "leaves", "leaves", "autumn", "earth"), 0.4 + 0.22 * field)
    for _ in range(int(rng.integers(0, 5))):
        x, y = grid(small)
        place, half = rng.random(), rng.uniform(0.01, 0.06)
        trunk = smoothstep(half, 0.7 * half, np.abs(x - place - 0.1 * rng.normal() * (y - 0.5)))
        bark = shade(
            palette(rng, "wood", "stone"),
            0.3 + 0.15 * fractal_noise(rng, small, 20, 3, stretch=0.2),
        )
        picture = picture + trunk[..., None] * (bark - picture)
    lights = _discs(rng, small, int(rng.integers(10, 60)), 0.7)
    glow = np.clip(palette(rng, "leaves", "dry", "sky")[4] + 0.1, 0, 1)
    picture = picture + lights[..., None] * (glow - picture)
    return resize(blur(picture, small * rng.uniform(0.001, 0.02)), size)


def meadow(rng: Rng, size: int) -> Array:
    """Grass, sharp in front and soft behind."""
    colours = palette(rng, "leaves", "leaves", "dry")
    ground = blank(size)
    ground[..., :3] = shade(colours, 0.35 + 0.15 * fractal_noise(rng, size, 6, 5, 0.6))
    ground[..., 3] = 1
    count = 900
    foot = rng.uniform(-0.05, 1.15, (count, 2)).astype(np.float32)
    foot = foot[np.argsort(foot[:, 1])]
    t = np.linspace(0, 1, 5, dtype=np.float32)
    length = rng.uniform(0.06, 0.2) * (0.4 + foot[:, 1])[:, None]
    lean = 0.5 * normal(rng, (count, 1))
    x = foot[:, :1] + length * (lean * t + 0.4 * normal(rng, (count, 1)) * t**2)
    y = foot[:, 1:] + 0.05 - length * t
    tone = np.clip(0.3 + 0.5 * rng.random((count, 1)) + 0.15 * t, 0, 1)
    width = rng.uniform(0.0015, 0.004) * (0.5 + foot[:, 1:])
    draw(ground, make_strokes(np.stack([x, y], axis=-1), width * (1.05 - t), shade(colours, tone)))
    picture = ground[..., :3]
    _, down = grid(size)
    focus = smoothstep(rng.uniform(0, 0.4), rng.uniform(0.5, 1), down)[..., None]
    return picture * focus + blur(picture, 0.012 * size) * (1 - focus)


def water(rng: Rng, size: int) -> Array:
    """Waves, finer with distance, with glitter."""
    x, y = grid(size)
    depth = 1 / (0.15 + y)
    field = fractal_noise(rng, size, 5, 6, 0.6, stretch=rng.uniform(3, 6))
    waves = np.sin(depth * rng.uniform(20, 45) + 2.5 * field + 0 * x)
    colours = palette(rng, "sea", "sea", "sky", "dusk")
    picture = shade(colours, 0.45 + 0.1 * waves + 0.13 * field)
    glitter = smoothstep(1.6, 2.2, field + 0.4 * waves)[..., None]
    return np.asarray(picture + glitter * (colours[-1] - picture))


def lights(rng: Rng, size: int) -> Array:
    """Lamps at night or dusk as discs of confusion."""
    small = size // 2
    field = fractal_noise(rng, small, 2, 4)
    picture = shade(palette(rng, "night", "night", "dusk", "wood", "sea"), 0.25 + 0.15 * field)
    warm = any_colour(rng)
    for _ in range(int(rng.integers(2, 5))):
        colour = np.clip(0.55 * any_colour(rng) + 0.2 * warm + 0.35, 0, 1)
        glow = _discs(rng, small, int(rng.integers(5, 25)), rng.uniform(0.3, 0.95))
        picture = picture + glow[..., None] * (colour - picture) * np.float32(rng.uniform(0.5, 1))
    return resize(np.clip(picture, 0, 1), size)


def _discs(rng: Rng, size: int, count: int, strength: float) -> Array:
    """Overlapping discs [S, S] in [0, 1], as an aperture of round or straight blades draws them."""
    field = np.zeros((size, size), np.float32)
    blades = int(rng.choice([0, 0, 6, 8]))
    base = rng.uniform(0.012, 0.06)
    kernels = [aperture(max(1.0, size * base * part), blades) for part in (0.6, 0.8, 1.0, 1.3)]
    for _ in range(count):
        kernel = kernels[rng.integers(4)]
        side = kernel.shape[0]
        if side >= size:
            continue
        top, left = rng.integers(0, size - side, 2)
        patch = field[top : top + side, left : left + side]
        disc = kernel * np.float32(strength * rng.uniform(0.3, 1) / kernel.max())
        patch += disc * (1 - patch)
    return field


def gradient_noise(rng: Rng, size: int) -> Array:
    """A studio backdrop: one palette, a pool of light, a little texture."""
    x, y = grid(size)
    place = rng.uniform(0.2, 0.8, 2)
    far = np.sqrt((x - place[0]) ** 2 + (y - place[1]) ** 2)
    field = 0.95 - rng.uniform(0.4, 1) * far + 0.05 * value_noise(rng, size, 4)
    grain = rng.uniform(0, 0.05) * fractal_noise(rng, size, 30, 3)
    return shade(palette(rng), np.clip(field + grain, 0, 1))
