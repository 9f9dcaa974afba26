"""Grad and Conn against slow code that follows the definition word by word, on random mattes."""

from collections import deque
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import correlate

from mattingzoo.metrics import conn, connection_levels, grad

Array = np.ndarray
THRESHOLDS = [0, 25, 26, 38, 39, 51, 76, 77, 102, 128, 153, 179, 204, 230, 254, 255]


def slow_component(solid: Array) -> set[tuple[int, int]]:
    """The largest 4-connected component, the first in column-major order among equals."""
    height, width = solid.shape
    best: set[tuple[int, int]] = set()
    seen: set[tuple[int, int]] = set()
    for start in ((y, x) for x in range(width) for y in range(height)):
        if not solid[start] or start in seen:
            continue
        component, queue = {start}, deque([start])
        while queue:
            y, x = queue.popleft()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < height and 0 <= near[1] < width
                if inside and solid[near] and near not in component:
                    component.add(near)
                    queue.append(near)
        seen |= component
        if len(component) > len(best):
            best = component
    return best


def slow_levels(pred: Array, alpha: Array) -> Array:
    """Ten times the connection level of every pixel."""
    levels = np.full(pred.shape, -1)
    for k in range(1, 11):
        both = (pred.astype(int) * 10 >= 255 * k) & (alpha.astype(int) * 10 >= 255 * k)
        component = slow_component(both)
        for pixel in np.ndindex(pred.shape):
            if levels[pixel] < 0 and pixel not in component:
                levels[pixel] = k - 1
    levels[levels < 0] = 10
    return levels


def slow_conn(pred: Array, alpha: Array, mask: Array) -> float:
    levels = slow_levels(pred, alpha)

    def disconnected(value: int, level: int) -> Fraction:
        excess = Fraction(value, 255) - Fraction(level, 10)
        return excess if excess >= Fraction(15, 100) else Fraction(0)

    terms = (
        abs(disconnected(p, level) - disconnected(a, level))
        for p, a, level in zip(
            pred[mask].tolist(), alpha[mask].tolist(), levels[mask].tolist(), strict=True
        )
    )
    return float(sum(terms, Fraction(0)) / 1000)


def slow_magnitude(matte: Array) -> Array:
    offsets = np.arange(-4, 5)
    gaussian = np.exp(-(offsets**2) / (2 * 1.4**2)) / (1.4 * np.sqrt(2 * np.pi))
    along_x = np.outer(gaussian, -offsets * gaussian / 1.4**2)
    along_x /= np.sqrt((along_x**2).sum())
    stretched = matte.astype(np.float64)
    stretched -= stretched.min()
    stretched /= max(stretched.max(), 1)
    gradient_x = correlate(stretched, along_x, mode="nearest")
    gradient_y = correlate(stretched, along_x.T, mode="nearest")
    return np.hypot(gradient_x, gradient_y)


def slow_grad(pred: Array, alpha: Array, mask: Array) -> float:
    return float(((slow_magnitude(pred) - slow_magnitude(alpha)) ** 2)[mask].sum() / 1000)


@st.composite
def triples(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    """Prediction, truth and mask: any bytes, or few levels on the thresholds with large areas."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    palette = draw(st.lists(st.sampled_from(THRESHOLDS), min_size=1, max_size=4))
    bytes_ = draw(st.sampled_from([st.integers(0, 255), st.sampled_from(palette)]))
    pred = draw(arrays(np.uint8, shape, elements=bytes_))
    alpha = draw(st.one_of(arrays(np.uint8, shape, elements=bytes_), st.just(pred.copy())))
    return pred, alpha, draw(arrays(np.bool_, shape))


def batch(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)[None, None]


@settings(deadline=None, max_examples=150)
@given(triples())
def test_levels_equal_the_definition(triple: tuple[Array, Array, Array]) -> None:
    pred, alpha, _ = triple
    np.testing.assert_array_equal(connection_levels(pred, alpha), slow_levels(pred, alpha))


@pytest.mark.parametrize("seed", range(20))
def test_levels_of_many_islands_equal_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = np.array([0, 51, 128, 255], dtype=np.uint8)
    pred = few[rng.integers(0, 4, (24, 19))]
    alpha = np.maximum(pred, few[rng.integers(0, 4, (24, 19))])
    np.testing.assert_array_equal(connection_levels(pred, alpha), slow_levels(pred, alpha))


@settings(deadline=None, max_examples=100)
@given(triples())
def test_conn_equals_the_definition(triple: tuple[Array, Array, Array]) -> None:
    pred, alpha, mask = triple
    measured = conn(batch(pred), batch(alpha), batch(mask)).item()
    assert measured == pytest.approx(slow_conn(pred, alpha, mask), rel=1e-15)


@settings(deadline=None, max_examples=100)
@given(triples())
def test_grad_equals_the_definition(triple: tuple[Array, Array, Array]) -> None:
    pred, alpha, mask = triple
    measured = grad(batch(pred), batch(alpha), batch(mask)).item()
    assert measured == pytest.approx(slow_grad(pred, alpha, mask), rel=1e-6, abs=1e-9)


def test_grad_of_a_narrow_range_far_from_zero_stays_precise() -> None:
    rng = np.random.default_rng(0)
    pred = rng.integers(250, 253, (30, 40)).astype(np.uint8)
    alpha = rng.integers(200, 204, (30, 40)).astype(np.uint8)
    everywhere = np.ones(pred.shape, dtype=np.bool_)
    measured = grad(batch(pred), batch(alpha)).item()
    assert measured == pytest.approx(slow_grad(pred, alpha, everywhere), rel=1e-6)
