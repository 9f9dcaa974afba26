"""Built backgrounds: bricks, tiles, planks, shelves, rooms, facades, clutter."""

import numpy as np

from mattingzoo.procedural.cameras import defocus_by
from mattingzoo.procedural.layer import over, resize
from mattingzoo.procedural.materials import any_colour, palette, shade, texture
from mattingzoo.procedural.noise import (
    Array,
    Rng,
    displace,
    fractal_noise,
    grid,
    smoothstep,
    value_noise,
)
from mattingzoo.procedural.solids import solids


def _cells(u: Array, v: Array, shift: float) -> tuple[Array, Array, Array]:
    """Bricks of unit size in bond: noise-like tone [S, S] per brick, distances to its joints."""
    row = np.floor(v)
    moved = u + shift * np.mod(row, 2)
    column = np.floor(moved)
    tone = np.mod(np.sin(row * 12.9898 + column * 78.233) * 43.7585, 1)
    across = np.minimum(moved - column, 1 - moved + column)
    down = np.minimum(v - row, 1 - v + row)
    return tone.astype(np.float32), across, down


def masonry(rng: Rng, size: int) -> Array:
    """Bricks, tiles or paving [size, size, 3], seen straight on or along the wall."""
    x, y = grid(size)
    angle = rng.choice([0, rng.normal(0, 0.2)])
    u = (x - 0.5) * np.float32(np.cos(angle)) + (y - 0.5) * np.float32(np.sin(angle))
    v = (y - 0.5) * np.float32(np.cos(angle)) - (x - 0.5) * np.float32(np.sin(angle))
    away = 1 + rng.choice([0, rng.uniform(-0.8, 0.8)]) * u
    rough = 0.004 * fractal_noise(rng, size, 20, 3)
    count, flat = rng.uniform(4, 16), rng.choice([0.4, 0.5, 1.0])
    across_, down_ = count * flat * u / away + rough * count, count * v / away + rough * count
    tone, across, down = _cells(across_, down_, rng.choice([0.0, 0.5]))
    joint = rng.uniform(0.03, 0.1)
    wall = smoothstep(0.4 * joint, joint, np.minimum(across / flat, down))[..., None]
    grain = fractal_noise(rng, size, rng.uniform(8, 30), 4, 0.65)
    bricks = shade(palette(rng), 0.35 + 0.3 * tone + rng.uniform(0.04, 0.14) * grain)
    mortar = shade(palette(rng, "stone", "plaster", "earth"), 0.5 + 0.1 * grain)
    return bricks * wall + mortar * (1 - wall)


def planks(rng: Rng, size: int) -> Array:
    """Boards side by side, each with its own grain and tone."""
    x, y = grid(size)
    count = rng.uniform(3, 12)
    board = np.floor(x * np.float32(count))
    tone = np.mod(np.sin(board * 91.7 + 3) * 47.453, 1).astype(np.float32)
    bend = fractal_noise(rng, size, 4, 3, stretch=0.15)
    grain = np.sin(x * np.float32(rng.uniform(60, 200)) + 5 * bend + 40 * tone + 0 * y)
    fibre = fractal_noise(rng, size, 60, 2, stretch=0.05)
    gap = np.abs(np.mod(x * np.float32(count) + 0.5, 1) - 0.5)
    field = 0.3 + 0.3 * tone + 0.07 * grain + 0.07 * fibre
    colours = palette(rng, "wood", "wood", "earth", "stone", "plaster", "sea")
    picture = shade(colours, field) * smoothstep(0.0, 0.04, gap)[..., None]
    return np.rot90(picture).copy() if rng.random() < 0.5 else picture


def shelves(rng: Rng, size: int) -> Array:
    """Rows of books, boxes or houses: upright bars of many colours."""
    picture = np.zeros((size, size, 3), np.float32)
    picture[:] = 0.4 * palette(rng, "wood", "earth", "night")[1]
    rows = int(rng.integers(1, 5))
    for row in range(rows):
        left = -0.02
        while left < 1:
            wide, tall = rng.uniform(0.015, 0.07), rng.uniform(0.6, 0.95) / rows
            bottom = (row + 0.97) / rows
            a, b = (round(min(1, max(0, edge)) * size) for edge in (left, left + wide))
            c, d = int((bottom - tall) * size), int(bottom * size)
            tone = np.linspace(0.8, 1.1, max(0, b - a))[None, :, None] * rng.uniform(0.5, 1)
            picture[c:d, a:b] = any_colour(rng) * tone
            if rng.random() < 0.5 and d - c > 8:
                band = c + int((d - c) * rng.uniform(0.1, 0.7))
                picture[band : band + max(1, size // 60), a:b] = any_colour(rng)
            left += wide + rng.choice([0, 0, 0, 0.02])
    grain = 1 + 0.06 * fractal_noise(rng, size, 25, 3)[..., None]
    return np.clip(picture * grain, 0, 1)


def room(rng: Rng, size: int) -> Array:
    """Walls and a floor meeting in a corner, a window or picture, light from one side."""
    x, y = grid(size)
    corner, level = rng.uniform(0.15, 0.85), rng.uniform(0.55, 0.85)
    tilt = rng.uniform(-0.25, 0.25, 2)
    floor = y > level + np.where(x < corner, tilt[0], -tilt[1]) * (x - corner)
    fade = rng.uniform(0.55, 0.95)
    light = np.where(x < corner, 1, fade) * (1 - rng.uniform(0, 0.5) * np.abs(x - corner))
    wall = shade(
        palette(rng, "plaster", "plaster", "cloth", "rose", "sea", "dry"),
        0.65 + 0.03 * fractal_noise(rng, size, 5, 4),
    )
    ground = texture(rng, size) if rng.random() < 0.4 else planks(rng, size)
    picture = np.where(floor[..., None], 0.8 * ground, wall * light[..., None])
    for _ in range(int(rng.integers(0, 4))):
        left, top = rng.uniform(0, 0.75), rng.uniform(0.02, 0.4)
        wide, tall = rng.uniform(0.1, 0.35), rng.uniform(0.12, 0.4)
        frame = (abs(x - left - wide / 2) < wide / 2) & (abs(y - top - tall / 2) < tall / 2)
        inner = (abs(x - left - wide / 2) < wide / 2.2) & (abs(y - top - tall / 2) < tall / 2.2)
        picture = np.where(frame[..., None], any_colour(rng), picture)
        picture = np.where(inner[..., None], _view(rng, size), picture)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _view(rng: Rng, size: int) -> Array:
    """What hangs in a frame: a bright window or a picture."""
    if rng.random() < 0.5:
        bright = palette(rng, "sky")[4] + 0.05 * fractal_noise(rng, size, 3, 3)[..., None]
        return np.asarray(np.clip(bright, 0, 1))
    return resize(texture(rng, size // 2), size)


def facade(rng: Rng, size: int) -> Array:
    """A house front: windows in rows, some lit, in perspective."""
    x, y = grid(size)
    away = 1 + rng.uniform(-0.7, 0.7) * (x - 0.5)
    tone, across, down = _cells(
        rng.uniform(3, 10) * (x - 0.5) / away, rng.uniform(3, 10) * (y - 0.5) / away, 0.0
    )
    glass_ = (across > rng.uniform(0.12, 0.28)) & (down > rng.uniform(0.12, 0.28))
    wall = shade(
        palette(rng, "stone", "plaster", "earth", "wood", "night"),
        0.5 + 0.08 * fractal_noise(rng, size, 12, 4),
    )
    pane = shade(
        palette(rng, "sky", "night", "sea"),
        np.clip(0.1 + 0.6 * tone**2 + 0.08 * value_noise(rng, size, 9), 0, 1),
    )
    lamp = np.array([0.98, 0.85, 0.55], np.float32)
    pane = np.where((tone > rng.uniform(0.7, 1.1))[..., None], lamp, pane)
    return np.where(glass_[..., None], pane, wall)


def clutter(rng: Rng, size: int) -> Array:
    """Things lying over one another, sharp or out of focus."""
    small = max(32, 2 * size // 3)
    ground = texture(rng, small)
    things = solids(rng, small, int(rng.integers(2, 4)), spread=0.5)
    if rng.random() < 0.5:
        things = defocus_by(things, small * rng.uniform(0.008, 0.03))
    solid_ground = np.concatenate([ground, np.ones_like(ground[..., :1])], axis=-1)
    return resize(over(things, solid_ground)[..., :3], size)


def foil(rng: Rng, size: int) -> Array:
    """Cloth or crumpled paper: a texture pushed about, lit from one side."""
    picture = texture(rng, size)
    height = fractal_noise(rng, size, rng.uniform(2, 6), 4, 0.45)
    slope = height - displace(height, np.full_like(height, 0.012), np.full_like(height, 0.012))
    amount = np.float32(0.015)
    picture = displace(picture, amount * height, amount * height[::-1].copy())
    return np.clip(picture * (0.85 + 0.8 * slope)[..., None], 0, 1)
