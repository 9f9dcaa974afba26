"""Backgrounds: a scene, sometimes out of focus, with the vignette and noise of a camera."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mattingzoo.procedural import interiors, scenery
from mattingzoo.procedural.layer import blur, to_bytes
from mattingzoo.procedural.materials import texture
from mattingzoo.procedural.noise import Array, Rng, grid, stream

_STREAM = 2  # foregrounds draw from stream 1

#: Scenes and how often each is drawn; each gives [S, S, 3] in [0, 1].
_SCENES: tuple[tuple[Callable[[Rng, int], Array], float], ...] = (
    (scenery.sky, 0.07),
    (scenery.hills, 0.1),
    (scenery.woods, 0.12),
    (scenery.meadow, 0.08),
    (scenery.water, 0.06),
    (scenery.lights, 0.08),
    (scenery.gradient_noise, 0.07),
    (interiors.masonry, 0.08),
    (interiors.planks, 0.05),
    (interiors.shelves, 0.05),
    (interiors.room, 0.07),
    (interiors.facade, 0.05),
    (interiors.clutter, 0.06),
    (interiors.foil, 0.03),
    (texture, 0.03),
)


def render_background(seed: int, index: int, size: int = 320) -> NDArray[np.uint8]:
    """A background [size, size, 3], uint8; a function of its arguments alone.

    Args:
        seed: Names a set of backgrounds.
        index: Which one of the set.
        size: Side in pixels.
    """
    rng = stream(seed, index, _STREAM)
    weights = np.array([weight for _, weight in _SCENES])
    scene = _SCENES[rng.choice(len(_SCENES), p=weights / weights.sum())][0]
    picture = np.asarray(scene(rng, size), np.float32)
    if rng.random() < 0.45:
        picture = blur(picture, size * np.exp(rng.uniform(np.log(0.002), np.log(0.02))))
    x, y = grid(size)
    corner = 1 - rng.uniform(0, 0.45) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    exposure = rng.uniform(0.8, 1.15)
    noise = rng.standard_normal((size, size, 1), np.float32) * rng.choice([0, 0.01, 0.025])
    return to_bytes(np.clip(picture * (exposure * corner)[..., None] + noise, 0, 1))
