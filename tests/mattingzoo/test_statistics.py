"""Intervals and comparisons against simulated truth, a slow reference, and each other."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mattingzoo.statistics import (
    bootstrap_interval,
    bootstrap_intervals,
    paired_difference,
)


def composites(
    rng: np.random.Generator, foregrounds: int, each: int, sigma: float = 0.5
) -> tuple[list[float], list[str]]:
    """Errors of composites: skewed between foregrounds, nearly alike within; their mean is 1."""
    per_foreground = np.exp(rng.normal(-(sigma**2) / 2, sigma, foregrounds))
    noise = rng.uniform(0.8, 1.2, (foregrounds, each))
    values = (per_foreground[:, None] * noise).ravel().tolist()
    return values, [f"f{i}" for i in range(foregrounds) for _ in range(each)]


def test_intervals_cover_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered, covered_if_independent = 0, 0
    trials = 300
    for _ in range(trials):
        values, groups = composites(rng, foregrounds=30, each=5)
        low, high = bootstrap_interval(values, groups, resamples=999) or (math.nan, math.nan)
        covered += low <= 1 <= high
        low, high = bootstrap_interval(values, resamples=999) or (math.nan, math.nan)
        covered_if_independent += low <= 1 <= high
    assert 0.91 <= covered / trials <= 0.98
    assert covered_if_independent / trials < 0.75, "pictures of one foreground are not independent"


def test_copies_of_pictures_do_not_make_a_mean_surer() -> None:
    values, _ = composites(np.random.default_rng(1), foregrounds=25, each=1)
    once = bootstrap_interval(values, [str(i) for i in range(25)])
    copies = bootstrap_interval(values * 20, [str(i) for i in range(25)] * 20)
    assert once is not None and copies == pytest.approx(once, rel=1e-9)
    fooled = bootstrap_interval(values * 20)
    assert fooled is not None and fooled[1] - fooled[0] < (once[1] - once[0]) / 3


def slow_interval(
    values: Sequence[float], groups: Sequence[str], resamples: int
) -> NDArray[np.float64]:
    """Bootstrap-t by the book: draw foregrounds, put their pictures together, studentise."""
    rng = np.random.default_rng(99)
    members = [
        [v for v, g in zip(values, groups, strict=True) if g == f] for f in sorted(set(groups))
    ]

    def mean_and_error(drawn: list[list[float]]) -> tuple[float, float]:
        pictures = [v for member in drawn for v in member]
        mean = sum(pictures) / len(pictures)
        excess = [sum(member) - mean * len(member) for member in drawn]
        variance = sum(e**2 for e in excess) * len(drawn) / (len(drawn) - 1)
        return mean, math.sqrt(variance) / len(pictures)

    mean, error = mean_and_error(members)
    t = []
    for _ in range(resamples):
        drawn = [members[i] for i in rng.integers(len(members), size=len(members))]
        resampled, its_error = mean_and_error(drawn)
        t.append((resampled - mean) / its_error)
    low, high = np.quantile(t, [0.025, 0.975])
    return np.array([mean - high * error, mean - low * error])


def test_interval_is_that_of_a_slow_reference() -> None:
    rng = np.random.default_rng(2)
    sizes = [1, 7, 3, 3, 12, 5, 2, 9, 4, 4, 6, 1, 8, 3, 5]
    groups = [f"f{i}" for i, size in enumerate(sizes) for _ in range(size)]
    values = [float(rng.gamma(2) + 0.3 * int(group[1:])) for group in groups]
    expected = slow_interval(values, groups, resamples=6000)
    found = bootstrap_interval(values, groups)
    # Both are simulated: their ends agree to a few hundredths of the width.
    np.testing.assert_allclose(found or (), expected, atol=0.04 * float(np.ptp(expected)))


def test_order_of_pictures_does_not_matter() -> None:
    values, groups = composites(np.random.default_rng(3), foregrounds=9, each=3)
    order = np.random.default_rng(4).permutation(len(values))
    shuffled = bootstrap_interval([values[i] for i in order], [groups[i] for i in order])
    assert shuffled == pytest.approx(bootstrap_interval(values, groups), rel=1e-12)


def test_undefined_errors_are_left_out() -> None:
    values, groups = composites(np.random.default_rng(5), foregrounds=12, each=2)
    gaps = [math.nan if i in (0, 1, 7) else v for i, v in enumerate(values)]
    rest = [i for i in range(len(values)) if i not in (0, 1, 7)]
    expected = bootstrap_interval([values[i] for i in rest], [groups[i] for i in rest])
    both = bootstrap_intervals({"SAD": values, "MSE": gaps}, groups)
    assert both == {"SAD": bootstrap_interval(values, groups), "MSE": expected}
    assert bootstrap_interval([math.nan] * 5) is None
    assert bootstrap_interval([]) is None


def test_few_foregrounds_have_no_interval() -> None:
    values = [1.0, 2.0, 4.0, 7.0, 3.0, 5.0]
    assert [bootstrap_interval(values[:n]) for n in range(1, 6)] == [None] * 5
    assert bootstrap_interval(values) is not None
    # However many pictures they make.
    assert bootstrap_interval(values * 25, ["a", "b", "c"] * 50) is None


def test_errors_do_not_fall_below_zero() -> None:
    values = [9.0, 8.0, 8.5, 9.2, 8.8, 0.0]  # one that pulls the low end far down
    free, bounded = bootstrap_interval(values), bootstrap_interval(values, lowest=0)
    assert free is not None and bounded is not None
    assert free[0] < 0 == bounded[0] and free[1] == bounded[1]


def test_equal_errors_have_an_interval_of_no_width() -> None:
    assert bootstrap_interval([2.5] * 8) == (2.5, 2.5)


def test_a_run_does_not_differ_from_itself() -> None:
    values, groups = composites(np.random.default_rng(6), foregrounds=10, each=4)
    same = paired_difference(values, values, groups)
    assert (same.mean, same.interval, same.p) == (0, (0, 0), 1)
    assert (same.n_images, same.n_groups) == (40, 10)


def test_a_clear_difference_is_found_in_either_direction() -> None:
    rng = np.random.default_rng(7)
    worse, groups = composites(rng, foregrounds=20, each=3, sigma=1.0)
    better = [0.9 * value * float(rng.uniform(0.97, 1.03)) for value in worse]
    found = paired_difference(better, worse, groups)
    assert found.p is not None and found.p < 0.01
    assert found.interval is not None and found.interval[1] < 0
    assert found.mean == pytest.approx(np.mean(better) - np.mean(worse))
    assert (found.mean_a, found.mean_b) == pytest.approx((np.mean(better), np.mean(worse)))
    turned = paired_difference(worse, better, groups)
    assert turned.mean == -found.mean
    # Unpaired, the spread between foregrounds hides it.
    a, b = bootstrap_interval(better, groups), bootstrap_interval(worse, groups)
    assert a is not None and b is not None and a[1] > b[0]


def test_runs_that_do_not_differ_are_seldom_called_different() -> None:
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(300):
        size = rng.normal(0, 1, 20).repeat(5)  # what one run gains on a foreground, the other loses
        a = (2 + size + rng.normal(0, 0.1, 100)).tolist()
        found = paired_difference(a, [2.0] * 100, [i // 5 for i in range(100)], resamples=999)
        wrong += found.p is not None and found.p < 0.05
    assert 0.01 <= wrong / 300 <= 0.09


@settings(max_examples=60, deadline=None)
@given(
    shift=st.floats(-1, 1),
    count=st.integers(5, 40),
    seed=st.integers(0, 2**31),
    level=st.sampled_from([0.8, 0.9, 0.95]),
)
def test_p_is_small_exactly_if_the_interval_leaves_out_zero(
    shift: float, count: int, seed: int, level: float
) -> None:
    rng = np.random.default_rng(seed)
    a = rng.gamma(1.0, size=count).tolist()
    b = (rng.gamma(1.0, size=count) + shift).tolist()
    found = paired_difference(a, b, [i // 2 for i in range(count)], level=level, resamples=499)
    if found.interval is None or found.p is None:
        return
    low, high = found.interval
    assert (found.p < 1 - level) == (not low <= 0 <= high)


def test_five_foregrounds_prove_nothing() -> None:
    groups = ["a", "b", "c", "d", "e"] * 20
    found = paired_difference([1.0] * 100, [9.0, 9.1, 9.2, 9.3, 9.4] * 20, groups)
    assert found.mean == pytest.approx(-8.2) and found.n_groups == 5
    assert found.interval is None and found.p is None


def test_equal_differences_are_as_unlikely_as_equal_signs() -> None:
    found = paired_difference([1.0] * 6, [2.0] * 6)
    assert found.interval == (-1, -1) and found.p == 2 / 2**6


def test_pairs_need_both_errors() -> None:
    found = paired_difference([1.0, math.nan, 3.0, 4.0], [2.0, 2.0, math.nan, 5.0])
    assert (found.n_images, found.mean, found.mean_a) == (2, -1, 2.5)
    nothing = paired_difference([math.nan], [1.0])
    assert nothing.n_images == 0 and nothing.p is None and math.isnan(nothing.mean)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"one entry per picture.*'values': 2, 'groups': 1"):
        bootstrap_interval([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match=r"between 0 and 1, got 95"):
        bootstrap_interval([1.0, 2.0], level=95)
    with pytest.raises(ValueError, match="10 resamples do not reach"):
        bootstrap_interval([1.0, 2.0], resamples=10)
    with pytest.raises(ValueError, match=r"'a': 1, 'b': 2"):
        paired_difference([1.0], [1.0, 2.0])
