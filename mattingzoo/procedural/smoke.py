"""Things without a surface: plumes, clouds, silky wisps and flames."""

import numpy as np

from mattingzoo.procedural.layer import blank, blur
from mattingzoo.procedural.materials import any_colour, shade
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


def smoke(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of smoke, a cloud, wisps or fire."""
    return (_plume, _cloud, _wisps, _flame)[rng.choice(4, p=[0.35, 0.25, 0.25, 0.15])](rng, size)


def _plume(rng: Rng, size: int) -> Array:
    """Smoke that rises, widens and is torn apart."""
    x, y = grid(size)
    rise = 1.02 - y  # 0 at the foot
    sway = (
        rng.normal(0, 0.12) * rise**1.5
        + 0.03 * np.sin(rise * rng.uniform(5, 12) + rng.uniform(0, 6)) * rise
    )
    half = rng.uniform(0.05, 0.09) + rng.uniform(0.15, 0.34) * rise
    across = (x - rng.uniform(0.4, 0.6) - sway) / half
    density = _billows(rng, size, rng.uniform(3, 5.5))
    push = np.float32(0.22)
    across = (
        across
        + push * value_noise(rng, size, 6) * rise
        + 0.8 * push * value_noise(rng, size, 3) * rise
    )
    core = 1.15 - across**2 - 0.55 * np.maximum(rise - 0.75, 0)
    body = np.maximum(core + (0.3 + 0.35 * rise) * density - 0.25, 0) ** 1.5
    body = body * smoothstep(1.25, 0.8, rise)
    return _shaded(rng, body * rng.uniform(0.35, 1.3))


def _billows(rng: Rng, size: int, columns: float) -> Array:
    """Turbulence [size, size] around 0: rounded lumps, curled by two displacements."""
    lumps = 1 - np.abs(fractal_noise(rng, size, columns, 6, 0.55)) * np.float32(1.2)
    lumps += 0.6 * fractal_noise(rng, size, 2 * columns, 5, 0.6)
    for amount, frequency in ((0.035, 4.0), (0.015, 10.0)):
        shift = np.float32(amount * rng.uniform(0.6, 1.3))
        lumps = displace(
            lumps,
            shift * value_noise(rng, size, frequency),
            shift * value_noise(rng, size, frequency),
        )
    return np.asarray(lumps - lumps.mean(), np.float32)


def _shaded(rng: Rng, thickness: Array) -> Array:
    """A layer from optical thickness [S, S] >= 0, brighter towards the light."""
    size = thickness.shape[0]
    alpha = 1 - np.exp(-1.6 * thickness)
    soft = blur(np.minimum(thickness, 2), 0.015 * size)
    angle = rng.uniform(-2.6, -0.5)
    shift = np.full((size, size), 0.035, np.float32)
    lit = soft - displace(
        soft, shift * np.float32(np.cos(angle)), shift * np.float32(np.sin(angle))
    )
    tone = rng.choice([0.2, 0.5, 0.72, 0.8])
    field = (
        tone
        + 0.38 * lit
        + 0.08 * np.minimum(thickness, 1.5)
        + 0.03 * fractal_noise(rng, size, 8, 4)
    )
    tint = any_colour(rng) if rng.random() < 0.2 else np.full(3, 0.6, np.float32)
    tints = np.stack([0.12 * tint + 0.02, 0.55 * tint + 0.1, 0.35 * tint + 0.65])
    colour = np.clip(shade(tints, np.clip(field, 0, 1)), 0, 1)
    return np.concatenate([colour * alpha[..., None], alpha[..., None]], axis=-1).astype(np.float32)


def _cloud(rng: Rng, size: int) -> Array:
    """A cumulus or a bank of mist."""
    x, y = grid(size)
    density = _billows(rng, size, rng.uniform(2, 4))
    field = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(2, 7))):
        place, reach = rng.uniform(0.25, 0.75, 2), rng.uniform(0.14, 0.32, 2)
        far = ((x - place[0]) / reach[0]) ** 2 + ((y - place[1]) / (0.7 * reach[1])) ** 2
        field = np.maximum(field, np.exp(-far))
    body = np.maximum(1.5 * field + 0.35 * density - rng.uniform(0.3, 0.7), 0)
    return _shaded(rng, body * rng.uniform(0.8, 3))


def _wisps(rng: Rng, size: int) -> Array:
    """Incense: sheets of smoke, drawn as hundreds of nearly transparent threads."""
    canvas = blank(size)
    colour = 0.75 + 0.25 * any_colour(rng) if rng.random() < 0.7 else any_colour(rng)
    steps = 40
    t = np.linspace(0, 1, steps, dtype=np.float32)
    for _ in range(int(rng.integers(2, 5))):
        count = 160
        sheet = np.linspace(-1, 1, count, dtype=np.float32)[:, None]
        width = rng.uniform(0.03, 0.12) * t ** rng.uniform(0.4, 1.2)
        twist = np.sin(rng.uniform(3, 9) * t + rng.uniform(0, 6) + sheet * rng.uniform(0, 2))
        sway = sum(
            rng.normal(0, 0.09 / k)
            * np.sin(k * 4 * t + rng.uniform(0, 6) + 0.5 * sheet * rng.normal())
            for k in (1, 2, 3)
        )
        x = rng.uniform(0.4, 0.6) + sway * t**0.8 + width * twist * sheet
        y = 1.02 - t * rng.uniform(0.8, 1.05) + 0.05 * np.sin(7 * t + 2 * sheet) * t
        points = np.stack([np.asarray(x, np.float32), np.broadcast_to(y, (count, steps))], axis=-1)
        thick = (0.0012 + 0.003 * t) * rng.uniform(0.6, 1.2, (count, 1))
        opacity = rng.uniform(0.03, 0.1) * rng.uniform(0.4, 1.3, count)
        vary = 0.8 + 0.2 * normal(rng, (count, 1, 1)) * 0.5
        draw(canvas, make_strokes(points, thick, colour * vary, opacity))
    return blur(canvas, rng.uniform(0.001, 0.004) * size)


def _flame(rng: Rng, size: int) -> Array:
    """Tongues of fire: white core, orange body, transparent rim."""
    x, y = grid(size)
    rise = 1 - y
    tongues = 0.5 * fractal_noise(rng, size, 5, 5, 0.55, stretch=0.45)
    tongues = displace(tongues, 0.03 * value_noise(rng, size, 5), 0.05 * value_noise(rng, size, 5))
    half = (
        rng.uniform(0.18, 0.42)
        * np.sqrt(np.maximum(1.05 - rise, 0.02))
        * smoothstep(-0.25, 0.15, rise)
    )
    across = (x - 0.5 - rng.normal(0, 0.1) * rise) / half + 0.5 * tongues * rise
    heat = np.maximum(
        1 - across**2 - rise * rng.uniform(0.5, 0.95) + 0.55 * tongues * (0.3 + rise), 0
    )
    heat = heat * np.float32(rng.uniform(1.1, 1.6))
    colours = np.array(
        [[0.45, 0.05, 0.02], [0.85, 0.25, 0.04], [0.98, 0.6, 0.12], [1, 0.9, 0.5], [1, 0.98, 0.9]]
    )
    colour = shade(colours.astype(np.float32), np.clip(heat * 0.85, 0, 1))
    alpha = np.clip(1 - np.exp(-2.2 * heat), 0, 1)[..., None]
    return np.concatenate([colour * alpha, alpha], axis=-1).astype(np.float32)
