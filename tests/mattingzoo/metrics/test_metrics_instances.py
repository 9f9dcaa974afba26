"""Instance matting quality against a slow reference, values by hand, and its invariants."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from mattingzoo.metrics.instances import (
    ERRORS,
    IMQ,
    instance_errors,
    instance_iou,
    instance_similarity,
    match_instances,
)

Floats = NDArray[np.float64]


def slow_slope(matte: Floats) -> Floats:
    """Convolution with the whole 9 x 9 filter of unit norm, borders repeated."""
    x = np.arange(-4, 5.0)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    kernel = np.outer(gauss, -x * gauss)
    kernel /= np.linalg.norm(kernel)
    parts = [ndimage.convolve(matte, k, mode="nearest") for k in (kernel, kernel.T)]
    return np.hypot(*parts)


def slow_connectivity(pred: Floats, alpha: Floats) -> Floats:
    """Thresholds one after the other, the largest 4-connected component of each."""
    level = np.full_like(pred, -1)
    for k in range(1, 11):
        # Labelled column by column: of equally large components the first one counts.
        labels, count = ndimage.label(((pred > k / 10 - 1e-9) & (alpha > k / 10 - 1e-9)).T)
        largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]) if count else labels > 0
        level[(level == -1) & ~largest.T] = (k - 1) / 10
    level[level == -1] = 1
    ours, theirs = (np.where(m - level > 0.15 - 1e-9, m - level, 0) for m in (pred, alpha))
    return np.abs(ours - theirs)


def slow_errors(pred: Floats, alpha: Floats) -> list[float]:
    union = (pred > 0) | (alpha > 0)
    maps = [
        np.abs(pred - alpha),
        (pred - alpha) ** 2,
        (slow_slope(pred) - slow_slope(alpha)) ** 2,
        slow_connectivity(pred, alpha),
    ]
    return [float(m[union].sum() / (union.sum() + 1)) for m in maps]


def soft_pair(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A soft blob that does not reach 1, and a noisy, torn copy of it."""
    rng = np.random.default_rng(seed)
    blob = ndimage.gaussian_filter(rng.random((31 + seed, 44)), 3)
    alpha = np.clip((blob - blob.mean()) * 6, 0, 0.9)
    pred = np.clip(alpha + rng.normal(0, 0.05, alpha.shape), 0, 1) * (rng.random(alpha.shape) < 0.9)
    return tuple(np.round(255 * m).astype(np.uint8) for m in (pred, alpha))  # type: ignore[return-value]


def batch(*mattes: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.stack(mattes))[:, None]


def bar(left: int, right: int, value: int = 255) -> NDArray[np.uint8]:
    """A vertical bar in a picture of 20 x 40."""
    matte = np.zeros((20, 40), np.uint8)
    matte[:, left:right] = value
    return matte


def test_errors_equal_the_slow_reference() -> None:
    for seed in range(6):
        pred, alpha = soft_pair(seed)
        expected = slow_errors(pred / 255, alpha / 255)
        found = instance_errors(batch(pred), batch(alpha))[0].tolist()
        assert found == pytest.approx(expected, rel=1e-5)
        assert all(0 < error < 1 for error in expected)


def test_errors_of_a_batch_are_those_of_its_pairs() -> None:
    pairs = [(bar(3, 9, 200), bar(4, 10)), (bar(3, 9), bar(3, 9, 100))]
    together = instance_errors(batch(*(p for p, _ in pairs)), batch(*(a for _, a in pairs)))
    singly = [instance_errors(batch(p), batch(a)) for p, a in pairs]
    assert torch.equal(together, torch.cat(singly))


def test_floats_are_rounded_to_8_bits() -> None:
    pred, alpha = soft_pair(0)
    exact = instance_errors(batch(pred), batch(alpha))
    nearly = batch(pred).float() / 255 + 0.001
    assert torch.equal(instance_errors(nearly.clamp(0, 1), batch(alpha)), exact)


def test_absolute_error_by_hand() -> None:
    # 20 x 6 pixels against 20 x 6, 20 x 4 in both: 80 wrong pixels of a union of 160.
    mad, mse, _, _ = instance_errors(batch(bar(0, 6)), batch(bar(2, 8)))[0].tolist()
    assert mad == mse == pytest.approx(80 / 161)
    assert instance_iou(batch(bar(0, 6)), batch(bar(2, 8))).item() == 0.5


def test_similarity_of_equal_mattes_is_one() -> None:
    assert instance_similarity(batch(bar(2, 7)), batch(bar(2, 7))).tolist() == [[1.0] * 4]


def test_an_error_of_a_tenth_scores_nothing() -> None:
    # 204 against 255 everywhere: an absolute error of 0.2, a squared one of 0.04.
    similarity = instance_similarity(batch(bar(0, 40, 204)), batch(bar(0, 40)))[0]
    assert similarity[0] == 0
    assert similarity[1] == pytest.approx(1 - 10 * 0.04 * 800 / 801)


def test_matching_is_the_best_in_total() -> None:
    # Greedy would take 0.9 and be left with 0.
    iou = torch.tensor([[0.9, 0.8], [0.7, 0.0]], dtype=torch.float64)
    assert match_instances(iou) == ([0, 1], [1, 0])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**16))
def test_matching_equals_trying_everything(rows: int, columns: int, seed: int) -> None:
    iou = torch.from_numpy(np.random.default_rng(seed).random((rows, columns)))
    table = iou if rows <= columns else iou.T
    best = max(
        sum(float(table[i, j]) for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(table.shape[1]), table.shape[0])
    )
    matches = match_instances(iou, threshold=0.0)
    assert sum(float(iou[i, j]) for i, j in zip(*matches, strict=True)) == pytest.approx(best)


def test_pairs_below_one_half_are_undone() -> None:
    iou = instance_iou(batch(bar(0, 6), bar(20, 26)), batch(bar(2, 8), bar(23, 29)))
    assert iou[0, 0] == 0.5
    assert iou[1, 1] < 0.5
    assert match_instances(iou) == ([0], [0])


def test_perfect_prediction_scores_one_in_any_order() -> None:
    metric = IMQ()
    truth = batch(bar(0, 8), bar(10, 18), bar(20, 28))
    metric.update(truth[[2, 0, 1]], truth)
    assert [value.item() for value in metric.compute().values()] == [1.0] * 5


def test_quality_by_hand_over_two_images() -> None:
    metric = IMQ()
    # One pair with an error of 0.04 x n / (n + 1) in MSE, one instance missed, one invented.
    metric.update(batch(bar(0, 10, 204), bar(30, 40)), batch(bar(0, 10), bar(15, 25)))
    metric.update(batch(bar(5, 15)), batch(bar(5, 15)))
    score = 1 - 10 * 0.04 * 200 / 201
    result = metric.compute()
    assert result["IMQ/MSE"] == pytest.approx((score + 1) / (2 + 0.5 + 0.5))
    assert result["IMQ/MAD"] == pytest.approx(1 / 3)
    assert result["RQ"] == pytest.approx(2 / 3)
    assert list(result) == [*(f"IMQ/{name}" for name in ERRORS), "RQ"]


def test_accumulated_over_the_set_and_not_averaged() -> None:
    metric = IMQ()
    metric.update(batch(bar(0, 10)), batch(bar(0, 10)))
    nothing = torch.zeros((0, 1, 20, 40))
    metric.update(nothing, batch(bar(0, 10), bar(12, 20), bar(22, 30)))
    # A mean over images would be 0.5; three missed instances weigh 1.5.
    assert metric.compute()["IMQ/Conn"] == pytest.approx(1 / 2.5)


def test_image_without_instances_counts_what_was_invented() -> None:
    metric = IMQ()
    metric.update(batch(bar(0, 10)), torch.zeros((0, 1, 20, 40)))
    assert metric.compute()["IMQ/MAD"] == 0
    assert metric.per_image()["FP"].tolist() == [1]


def test_nothing_at_all_is_undefined() -> None:
    metric = IMQ()
    metric.update(torch.zeros((0, 1, 4, 4)), torch.zeros((0, 1, 4, 4)))
    assert all(value.isnan() for value in metric.compute().values())


def test_half_precision_module_keeps_its_sums() -> None:
    metric = IMQ()
    metric.update(batch(bar(0, 10, 250)), batch(bar(0, 10)))
    before = metric.compute()
    nn.ModuleList([metric]).half()
    metric._computed = None
    assert metric.compute() == before
    assert before["IMQ/MAD"].dtype == torch.float64


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"shapes differ: pred \(1, 1, 20, 40\), alpha \(1, 1, 4"):
        IMQ().update(batch(bar(0, 3)), torch.zeros((1, 1, 4, 4)))


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_values_must_be_mattes(value: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]"):
        instance_iou(torch.zeros((1, 1, 4, 4)), torch.full((1, 1, 4, 4), value))


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_threshold_must_be_a_share(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\]"):
        IMQ(threshold)
