"""Foregrounds: one renderer per kind, and the choice between them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattingzoo.procedural.cameras import defocus, defocus_by, motion_blur
from mattingzoo.procedural.feather import feather
from mattingzoo.procedural.foliage import foliage
from mattingzoo.procedural.fur import animal
from mattingzoo.procedural.glass import glass
from mattingzoo.procedural.hair import lock, portrait
from mattingzoo.procedural.layer import straight
from mattingzoo.procedural.net import net
from mattingzoo.procedural.noise import Array, Rng, stream
from mattingzoo.procedural.smoke import smoke

_STREAM = 1  # backgrounds draw from stream 2


class Foreground(NamedTuple):
    """A subject and its exact matte: image = alpha * rgb + (1 - alpha) * background."""

    rgb: NDArray[np.uint8]  # [H, W, 3], true colour, carried outward where alpha is 0
    alpha: NDArray[np.uint8]  # [H, W]
    kind: str  # one of KINDS


def hair(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of a person, a furry animal or a loose lock of hair."""
    return (portrait, animal, lock)[rng.choice(3, p=[0.5, 0.33, 0.17])](rng, size)


#: Kinds, their renderers and how often each is drawn.
_RENDERERS: dict[str, tuple[Callable[[Rng, int], Array], float]] = {
    "hair": (hair, 0.36),
    "feather": (feather, 0.1),
    "foliage": (foliage, 0.13),
    "net": (net, 0.09),
    "smoke": (smoke, 0.09),
    "glass": (glass, 0.08),
    "motion_blur": (motion_blur, 0.08),
    "defocus": (defocus, 0.07),
}

#: What :func:`render_foreground` can draw.
KINDS: tuple[str, ...] = tuple(_RENDERERS)


def render_foreground(
    seed: int, index: int, size: int = 320, kind: str | None = None
) -> Foreground:
    """A foreground with its exact matte; a function of its arguments alone.

    Args:
        seed: Names a set of foregrounds.
        index: Which one of the set.
        size: Side in pixels.
        kind: One of KINDS; None draws it by seed and index.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind is None:
        weights = np.array([weight for _, weight in _RENDERERS.values()])
        kind = KINDS[stream(seed, index, _STREAM).choice(len(KINDS), p=weights / weights.sum())]
    if kind not in _RENDERERS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    rng = stream(seed, index, _STREAM, KINDS.index(kind))
    layer = _RENDERERS[kind][0](rng, size)
    if kind not in ("motion_blur", "defocus") and rng.random() < 0.3:  # not every shot is sharp
        layer = defocus_by(layer, size * rng.uniform(0.002, 0.006))
    rgb, alpha = straight(layer)
    return Foreground(rgb, alpha, kind)
