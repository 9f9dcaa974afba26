"""A contact sheet: what the renderer draws, at a glance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mattingzoo.procedural.backgrounds import render_background
from mattingzoo.procedural.foregrounds import render_foreground


def contact_sheet(seed: int, indices: Sequence[int], size: int) -> NDArray[np.uint8]:
    """Composites beside their mattes, in a grid about as wide as it is high.

    Args:
        seed: Names the set, see :func:`render_foreground`.
        indices: Which pictures to show.
        size: Side of each in pixels.

    Returns:
        Picture [rows * size, columns * 2 * size, 3], uint8; cells left over are black.
    """
    pairs = [_pair(seed, index, size) for index in indices]
    columns = max(1, round((len(pairs) / 2) ** 0.5))
    rows = -(-len(pairs) // columns)
    pairs += [np.zeros((size, 2 * size, 3), np.uint8)] * (rows * columns - len(pairs))
    lines = [np.hstack(pairs[k * columns : (k + 1) * columns]) for k in range(rows)]
    return np.asarray(np.vstack(lines), np.uint8)


def _pair(seed: int, index: int, size: int) -> NDArray[np.uint8]:
    """Composite and matte side by side [size, 2 * size, 3]."""
    rgb, alpha, _ = render_foreground(seed, index, size)
    share = alpha[..., None].astype(np.float32) / 255
    picture = share * rgb + (1 - share) * render_background(seed, index, size)
    matte = np.repeat(alpha[..., None], 3, axis=-1)
    return np.concatenate([np.round(picture).astype(np.uint8), matte], axis=1)
