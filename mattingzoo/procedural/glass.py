"""Transparent things: glasses, bottles and bulbs by a turned profile; bubbles."""

from typing import NamedTuple

import numpy as np

from mattingzoo.procedural.layer import blank, paint
from mattingzoo.procedural.materials import any_colour
from mattingzoo.procedural.noise import Array, Rng, fractal_noise, grid, smoothstep

#: Height from the foot (0) to the lip (1) and radius, both relative to the vessel's height.
PROFILES: dict[str, tuple[tuple[float, float], ...]] = {
    "tumbler": ((0, 0.24), (0.03, 0.26), (0.5, 0.28), (1, 0.31)),
    "wine": (
        (0, 0.2),
        (0.02, 0.19),
        (0.06, 0.04),
        (0.12, 0.018),
        (0.42, 0.018),
        (0.5, 0.1),
        (0.62, 0.22),
        (0.75, 0.25),
        (1, 0.19),
    ),
    "bottle": ((0, 0.14), (0.02, 0.155), (0.55, 0.155), (0.68, 0.11), (0.78, 0.05), (1, 0.047)),
    "vase": ((0, 0.13), (0.05, 0.15), (0.35, 0.27), (0.6, 0.22), (0.8, 0.12), (1, 0.2)),
    "jar": ((0, 0.24), (0.04, 0.28), (0.75, 0.28), (0.85, 0.22), (1, 0.22)),
    "flute": (
        (0, 0.13),
        (0.02, 0.12),
        (0.05, 0.02),
        (0.35, 0.014),
        (0.42, 0.06),
        (0.6, 0.1),
        (1, 0.095),
    ),
}


class Vessel(NamedTuple):
    """A turned body, as maps of the frame [S, S] or [S, 1]."""

    across: Array  # [S, S], -1 and 1 at the two outlines
    radius: Array  # [S, 1] in frame units
    height: Array  # [S, 1], 0 at the foot, 1 at the lip
    cover: Array  # [S, S], 1 inside the outline
    centre: float
    hollow: float  # height where the inside begins


def glass(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of something you see through."""
    return _bubbles(rng, size) if rng.random() < 0.25 else _vessel(rng, size)


def _over(canvas: Array, colour: Array | tuple[float, float, float], alpha: Array) -> None:
    paint(canvas, np.asarray(colour, np.float32), np.clip(alpha, 0, 1).astype(np.float32))


def _vessel(rng: Rng, side: int) -> Array:
    canvas = blank(side)
    vessel = _place(rng, side)
    tint = np.clip(0.75 + 0.25 * any_colour(rng), 0, 1)
    if rng.random() < 0.25:
        tint = 0.6 * any_colour(rng) + 0.15
    _draw_wall(rng, canvas, vessel, 0.8 * tint, back=True)
    if rng.random() < 0.6:
        _draw_liquid(rng, canvas, vessel)
    _draw_wall(rng, canvas, vessel, tint, back=False)
    _draw_highlights(rng, canvas, vessel)
    return canvas


def _place(rng: Rng, side: int) -> Vessel:
    name = tuple(PROFILES)[rng.integers(len(PROFILES))]
    knots = np.array(PROFILES[name], np.float32)
    tall = rng.uniform(0.7, 0.9)
    centre, foot = rng.uniform(0.42, 0.58), 0.5 + tall / 2 + rng.uniform(-0.03, 0.04)
    x, y = grid(side)
    height = (foot - y) / tall
    wide = tall * rng.uniform(0.85, 1.25)
    radius = np.interp(height[:, 0], knots[:, 0], knots[:, 1]).astype(np.float32)
    kernel = np.hanning(max(5, side // 9))
    radius = np.convolve(np.pad(radius, len(kernel), "edge"), kernel / kernel.sum(), "same")
    radius = (wide * radius[len(kernel) : -len(kernel)].astype(np.float32))[:, None]
    across = (x - centre) / radius
    dip = 0.14 * radius * np.sqrt(np.maximum(0, 1 - across**2)) / tall  # foot seen from above
    sides = np.clip((1 - np.abs(across)) * radius * side + 0.5, 0, 1)  # the part of each pixel
    ends = np.clip((height + dip) * tall * side, 0, 1) * np.clip((1 - height) * tall * side, 0, 1)
    inside = sides * ends
    hollow = {"wine": 0.45, "flute": 0.38}.get(name, 0.06)
    return Vessel(across, radius, height, inside, centre, hollow)


def _draw_wall(rng: Rng, canvas: Array, v: Vessel, tint: Array, back: bool) -> None:
    """A wall: hardly there in the middle, dense where it is seen edge on; a lip and a foot."""
    edge = np.abs(v.across)
    rim = edge ** rng.uniform(6, 12)
    thin = rng.uniform(0.03, 0.1)
    alpha = v.cover * (thin + rng.uniform(0.45, 0.85) * rim)
    alpha = alpha + v.cover * 0.25 * smoothstep(0.06, 0.0, v.height)
    wave = 0.12 * np.sin(9 * v.across + 5 * v.height) + 0.7 - 0.45 * smoothstep(0.8, 0.98, edge)
    _over(canvas, tint * wave[..., None], alpha)
    for level, flat in ((1.0, 0.16), (0.03, 0.14)):
        row = int(np.argmin(np.abs(v.height - level)))
        radius = float(v.radius[row, 0])
        ring = _ring(canvas.shape[0], v, row, radius, flat, back)
        _over(canvas, np.clip(tint * 1.1, 0, 1), rng.uniform(0.4, 0.8) * ring)


def _ring(side: int, v: Vessel, row: int, radius: float, flat: float, back: bool) -> Array:
    """Coverage of the far or near half of a horizontal ring seen from a little above."""
    x, y = grid(side)
    level = (row + 0.5) / side
    u, w = (x - v.centre) / radius, (y - level) / (flat * radius)
    far = np.abs(np.sqrt(u**2 + w**2) - 1) * (flat * radius * np.sqrt(1 + 30 * u**2))
    half = (w < 0) if back else (w >= 0)
    return smoothstep(0.006, 0.002, far) * half


def _draw_liquid(rng: Rng, canvas: Array, v: Vessel) -> None:
    """A drink: denser in the middle than at the sides, with a bright surface."""
    level = v.hollow + (1 - v.hollow) * rng.uniform(0.3, 0.85)
    colour = any_colour(rng)
    body = v.cover * (np.abs(v.across) < 0.93) * (v.height < level) * (v.height > v.hollow)
    depth = np.sqrt(np.maximum(0, 1 - v.across**2))
    shade_ = (0.75 + 0.4 * v.across * rng.choice([-1, 1]))[..., None]
    dense = rng.uniform(0.25, 0.95)
    _over(canvas, np.clip(colour * shade_, 0, 1), body * dense * (0.55 + 0.45 * depth))
    row = int(np.argmin(np.abs(v.height - level)))
    radius = 0.93 * float(v.radius[row, 0])
    x, y = grid(canvas.shape[0])
    disc = ((x - v.centre) / radius) ** 2 + ((y - (row + 0.5) / len(y)) / (0.15 * radius)) ** 2
    _over(
        canvas,
        np.clip(colour * 0.7 + 0.3, 0, 1),
        smoothstep(1.02, 0.96, disc) * min(1, 0.3 + dense),
    )


def _draw_highlights(rng: Rng, canvas: Array, v: Vessel) -> None:
    """Reflections of windows and lamps: soft upright stripes that follow the outline."""
    fade = (
        v.cover * smoothstep(v.hollow, v.hollow + 0.1, v.height) * smoothstep(0.99, 0.93, v.height)
    )
    for _ in range(int(rng.integers(2, 5))):
        place, half = rng.uniform(-0.85, 0.85), rng.uniform(0.02, 0.1)
        low, high = np.sort(rng.uniform(0, 1, 2))
        stripe = smoothstep(half, 0.5 * half, np.abs(v.across - place))
        length = smoothstep(low - 0.05, low, v.height) * smoothstep(
            high + 0.25, high + 0.15, v.height
        )
        _over(canvas, (1.0, 1.0, 0.98), fade * stripe * length * rng.uniform(0.25, 0.95))


def _bubbles(rng: Rng, side: int) -> Array:
    """Soap bubbles: a coloured film that thickens towards the rim, windows mirrored in it."""
    canvas = blank(side)
    for _ in range(int(rng.integers(2, 8))):
        radius = rng.uniform(0.1, 0.38)
        centre = rng.uniform(0.25, 0.75, 2)
        x, y = grid(side)
        u, v = (x - centre[0]) / radius, (y - centre[1]) / radius
        far = np.sqrt(u**2 + v**2)
        inside = smoothstep(1.0, 1.0 - 2 / (radius * side), far)
        film = (
            6 * far**2
            + 2.5 * v
            + 0.8 * fractal_noise(rng, side // 4, 2, 3).mean()
            + rng.uniform(0, 6)
        )
        swirl = np.stack([np.cos(film + 2 * np.pi * k / 3) for k in range(3)], axis=-1)
        body = 0.05 + rng.uniform(0.3, 0.7) * np.minimum(far, 1) ** rng.uniform(4, 9)
        _over(canvas, np.clip(0.7 + 0.3 * swirl, 0, 1), inside * body)
        for sign in (-1, 1):
            spot = ((u + sign * 0.45) / 0.13) ** 2 + ((v + sign * 0.5 + 0.5 * u**2) / 0.09) ** 2
            _over(canvas, (1, 1, 1), inside * np.exp(-(spot**2)) * (0.9 if sign > 0 else 0.4))
    return canvas
