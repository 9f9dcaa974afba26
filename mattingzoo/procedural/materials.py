"""What solid things are made of: palettes, textures [S, S, 3] and the light that falls on them."""

from collections.abc import Callable

import cv2
import numpy as np

from mattingzoo.procedural.noise import (
    Array,
    Rng,
    displace,
    fractal_noise,
    grid,
    smoothstep,
    value_noise,
)

#: Natural colours, dark to light, as 8-bit RGB.
PALETTES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "earth": ((41, 30, 22), (92, 66, 45), (141, 108, 77), (190, 163, 126), (224, 207, 178)),
    "leaves": ((19, 31, 12), (45, 66, 24), (84, 111, 42), (134, 154, 71), (191, 199, 118)),
    "autumn": ((54, 22, 12), (117, 49, 18), (178, 92, 28), (212, 148, 50), (231, 199, 112)),
    "sky": ((62, 98, 147), (104, 143, 188), (154, 184, 214), (203, 217, 229), (238, 239, 236)),
    "dusk": ((33, 31, 53), (82, 60, 88), (153, 94, 98), (213, 142, 107), (244, 205, 150)),
    "stone": ((48, 47, 47), (88, 86, 83), (128, 126, 121), (166, 163, 156), (208, 205, 197)),
    "sea": ((14, 35, 48), (29, 69, 84), (57, 110, 119), (112, 157, 158), (184, 208, 203)),
    "skin": ((96, 56, 42), (148, 94, 72), (192, 134, 107), (222, 174, 147), (240, 208, 187)),
    "wood": ((52, 33, 20), (95, 62, 36), (140, 97, 59), (177, 133, 87), (212, 175, 128)),
    "night": ((8, 9, 16), (22, 25, 40), (45, 48, 66), (92, 83, 86), (172, 142, 104)),
    "plaster": (
        (122, 113, 102),
        (163, 153, 140),
        (196, 187, 173),
        (219, 212, 200),
        (238, 234, 226),
    ),
    "rose": ((61, 22, 33), (124, 45, 60), (178, 86, 98), (216, 144, 145), (240, 205, 198)),
    "cloth": ((24, 29, 45), (49, 62, 92), (86, 105, 139), (143, 158, 180), (206, 211, 218)),
    "dry": ((66, 56, 32), (116, 101, 60), (161, 145, 93), (199, 185, 134), (229, 219, 180)),
}


def palette(rng: Rng, *names: str) -> Array:
    """One palette [5, 3] in [0, 1], of those named or of all, slightly varied."""
    chosen = names or tuple(PALETTES)
    colours = np.array(PALETTES[chosen[rng.integers(len(chosen))]], np.float32) / 255
    tint = rng.normal(1, 0.06, 3) * rng.uniform(0.85, 1.12)
    return np.clip(colours * tint.astype(np.float32), 0, 1)


def shade(colours: Array, field: Array | float) -> Array:
    """Colours [..., 3] read off a palette [P, 3] by a field [...] in [0, 1]."""
    steps = np.linspace(0, 1, 256)
    knots = np.linspace(0, 1, len(colours))
    table = np.stack([np.interp(steps, knots, channel) for channel in colours.T], axis=-1)
    index = np.clip(np.multiply(field, 255), 0, 255).astype(np.uint8)
    return table.astype(np.float32)[index]


def any_colour(rng: Rng) -> Array:
    """One colour [3]: usually natural and muted, now and then saturated."""
    if rng.random() < 0.25:
        hue = rng.uniform(0, 180)
        pixel = np.array([[[hue, rng.uniform(90, 230), rng.uniform(80, 240)]]], np.uint8)
        rgb = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
        return np.asarray(rgb / 255, np.float32)
    return np.asarray(shade(palette(rng), rng.uniform(0.1, 1)), np.float32)


def mottled(rng: Rng, size: int) -> Array:
    """Irregular patches of one palette: stone, skin, earth, weathered paint."""
    field = fractal_noise(rng, size, rng.uniform(2, 9), 6, rng.uniform(0.4, 0.7))
    return shade(palette(rng), 0.5 + rng.uniform(0.1, 0.3) * field)


def gradient(rng: Rng, size: int) -> Array:
    """Two colours running into each other, with a trace of texture."""
    x, y = grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    t = smoothstep(
        -0.5, 0.5, (x - 0.5) * np.float32(np.cos(angle)) + (y - 0.5) * np.float32(np.sin(angle))
    )
    field = t[..., None]
    trace = 0.03 * fractal_noise(rng, size, 12, 4)[..., None]
    return np.clip(any_colour(rng) * (1 - field) + any_colour(rng) * field + trace, 0, 1)


def woven(rng: Rng, size: int) -> Array:
    """Fabric: stripes or checks over a visible weave, softly creased."""
    x, y = grid(size)
    creases = 0.02 * fractal_noise(rng, size, 3, 3)
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    u = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + creases
    v = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle)) + creases
    count, width = rng.uniform(5, 22), rng.uniform(0.2, 0.7)
    bands = (np.mod(u * np.float32(count), 1) < width).astype(np.float32)
    if rng.random() < 0.4:
        bands = 0.5 * (bands + (np.mod(v * np.float32(count), 1) < width))
    first, second = any_colour(rng), any_colour(rng)
    plain = rng.random() < 0.35
    cloth = first + (0.1 if plain else 1.0) * bands[..., None] * (second - first)
    threads = np.float32(size / 3.2)
    weave = 1 + 0.06 * np.sin(2 * np.pi * threads * u) * np.sin(2 * np.pi * threads * v)
    return np.asarray(np.clip(cloth * (weave * (1 + 4 * creases))[..., None], 0, 1))


def spotted(rng: Rng, size: int) -> Array:
    """A ground with spots or blotches, as on a leopard, a ladybird or a printed dress."""
    field = value_noise(rng, size, rng.uniform(7, 22)) + 0.3 * fractal_noise(rng, size, 20, 3)
    spots = smoothstep(0.35, 0.55, field * rng.choice([-1, 1]))[..., None]
    ground = shade(palette(rng), 0.65 + 0.1 * fractal_noise(rng, size, 3, 5))
    return ground * (1 - spots) + any_colour(rng) * rng.uniform(0.3, 1) * spots


def wooden(rng: Rng, size: int) -> Array:
    """Grain of sawn wood with knots."""
    x, y = grid(size)
    bend = 0.03 * fractal_noise(rng, size, 1.5, 3, stretch=0.4)
    rings = np.sin((x + bend) * np.float32(rng.uniform(60, 160)) + 4 * bend * 20 + 0 * y)
    fibre = fractal_noise(rng, size, 50, 2, stretch=0.04)
    field = 0.5 + 0.13 * rings + 0.1 * fibre + 0.08 * fractal_noise(rng, size, 2, 2, stretch=0.2)
    return shade(palette(rng, "wood", "earth", "dry", "stone"), field)


def marbled(rng: Rng, size: int) -> Array:
    """Swirls of a palette: marble, oil, batik."""
    field = fractal_noise(rng, size, 3, 5)
    push = np.float32(rng.uniform(0.03, 0.1))
    swirl = displace(field, push * value_noise(rng, size, 4), push * value_noise(rng, size, 4))
    return shade(palette(rng), 0.5 + 0.5 * np.sin(swirl * rng.uniform(1.5, 4)))


def brushed(rng: Rng, size: int) -> Array:
    """Short streaks along one direction: fur seen from afar, brushed metal, bark."""
    streaks = fractal_noise(rng, size, rng.uniform(25, 60), 3, stretch=rng.uniform(0.05, 0.25))
    streaks += 0.8 * fractal_noise(rng, size, 3, 3)
    amount = np.float32(0.02)
    bent = displace(streaks, amount * value_noise(rng, size, 4), amount * value_noise(rng, size, 4))
    return shade(palette(rng), 0.5 + 0.16 * bent)


TEXTURES: tuple[Callable[[Rng, int], Array], ...] = (
    mottled,
    gradient,
    woven,
    spotted,
    wooden,
    marbled,
    brushed,
)


def texture(rng: Rng, size: int) -> Array:
    """Any of the textures [size, size, 3] in [0, 1]."""
    return TEXTURES[rng.integers(len(TEXTURES))](rng, size)


def relief(mask: Array, depth: float = 1.0) -> tuple[Array, Array]:
    """Slopes (x, y) of a shape [S, S] blown up like a cushion; both in about [-1, 1]."""
    size = mask.shape[0]
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    roundness = np.float32(0.12 * size)
    height = np.sqrt(1 - (1 - np.minimum(inside / roundness, 1)) ** 2) * roundness
    height = cv2.GaussianBlur(height, (0, 0), 0.02 * size)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    return np.clip(depth * slope_x, -2, 2), np.clip(depth * slope_y, -2, 2)


def lit(rng: Rng, colour: Array, mask: Array) -> Array:
    """A texture [S, S, 3] as the surface of a rounded shape [S, S], with a highlight at times."""
    slope_x, slope_y = relief(mask, rng.uniform(0.7, 1.3))
    angle = rng.uniform(-2.6, -0.5)
    light = np.array([0.7 * np.cos(angle), 0.7 * np.sin(angle), 0.7], np.float32)
    norm = 1 / np.sqrt(slope_x**2 + slope_y**2 + 1)
    diffuse = np.maximum((-slope_x * light[0] - slope_y * light[1] + light[2]) * norm, 0)
    ambient = np.float32(rng.uniform(0.25, 0.5))
    result = colour * (ambient + (1.25 - ambient) * diffuse)[..., None]
    gloss = np.float32(rng.choice([0, 0.15, 0.5]))
    if gloss > 0:
        result = result + (gloss * np.clip(diffuse, 0, 1) ** 24)[..., None]
    return np.asarray(np.clip(result, 0, 1), np.float32)
