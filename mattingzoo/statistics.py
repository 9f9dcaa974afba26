"""How sure a mean over pictures is, and whether two runs differ.

Everything here is the cluster bootstrap: foregrounds are drawn with replacement, each with all the
pictures it makes, for pictures of one foreground are not independent measurements (Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8; Field and Welsh, JRSS B 2007).
Composition-1k has 1,000 pictures and 50 foregrounds: 50 are drawn.

Intervals are studentised, "bootstrap-t" (Efron and Tibshirani, An Introduction to the Bootstrap,
1993, chapter 12): each resample is measured in its own standard errors. Matting errors are skewed
and data sets small, and there the plain percentile interval is too narrow. How often 95 % intervals
held the true mean of log-normal errors, five pictures a foreground, 2,000 data sets each (± 0.7):

    sigma  foregrounds  percentile     BCa  bootstrap-t
    0.5             10      87.8 %  87.8 %       92.6 %
    0.5             50      93.2 %  93.5 %       94.3 %
    1.0             10      80.5 %  83.0 %       89.8 %
    1.0             50      90.1 %  91.0 %       93.5 %
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 10_000
#: Below this many foregrounds nothing is said of them: 5 that agree do so by chance with 2 · 2⁻⁵ =
#: 6 %, and intervals reach beyond all bounds.
LEAST_GROUPS = 6
#: Below this many an interval is a rough one, and tables say so.
FEW_GROUPS = 20

_BLOCK = 1 << 21  # draws held in memory at a time


class Difference(NamedTuple):
    """How two runs differ on the pictures both have scored."""

    mean: float  # mean of a − b over the pictures; NaN if there is none
    interval: Interval | None  # of that mean; None if there are too few groups
    p: float | None  # two-sided; None if there are too few groups
    mean_a: float
    mean_b: float
    n_images: int
    n_groups: int


def bootstrap_interval(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    lowest: float = -np.inf,
) -> Interval | None:
    """Confidence interval of a mean over pictures.

    Args:
        values: One error per picture; NaN is left out, as it is out of the mean.
        groups: The foreground of each picture; None takes every picture for one of its own.
        level: Confidence, above 0 and below 1.
        resamples: How often the foregrounds are drawn.
        seed: Same seed, same interval, in whatever order the pictures come if they have groups.
        lowest: What the mean cannot fall below: 0 for errors. Studentised intervals do not know it.

    Returns:
        Low and high end; None for fewer than six foregrounds, or if so many are of one and the same
        value that resamples have no spread.

    Raises:
        ValueError: If ``values`` and ``groups`` differ in length, or ``level`` or ``resamples`` is
            out of range.
    """
    columns = {"values": values}
    return bootstrap_intervals(columns, groups, level, resamples, seed, lowest)["values"]


def bootstrap_intervals(
    columns: Mapping[str, Sequence[float]],
    groups: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    lowest: float = -np.inf,
) -> dict[str, Interval | None]:
    """:func:`bootstrap_interval` of several metrics of the same pictures; they share the draws."""
    _check(columns, groups, level, resamples)
    intervals: dict[str, Interval | None] = {}
    for names, table, labels in _defined(columns, groups):
        boot = _bootstrap(table, labels, resamples, seed)
        for k, name in enumerate(names):
            found = _interval(boot, k, level)
            intervals[name] = found and (max(found[0], lowest), max(found[1], lowest))
    return {name: intervals[name] for name in columns}


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Whether two runs differ on the same pictures.

    Args:
        a: One error per picture of the first run.
        b: Those of the second run on the same pictures, in the same order. A picture whose error is
            NaN in either run is left out.
        groups: The foreground of each picture; None takes every picture for one of its own.
        level: Confidence of the interval, above 0 and below 1.
        resamples: How often the foregrounds are drawn.
        seed: Same seed, same result.

    Returns:
        The mean of a − b with its interval, and ``p``: how often foregrounds that do not differ
        would seem to differ as much, in either direction. It is below ``1 − level`` if and only if
        the interval leaves out 0. Neither is there for fewer than six foregrounds.

    Raises:
        ValueError: As :func:`bootstrap_interval`.
    """
    _check({"a": a, "b": b}, groups, level, resamples)
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    [(_, table, labels)] = _defined({"a − b": first - second}, groups)
    paired = ~np.isnan(first - second)
    if not paired.any():
        return Difference(np.nan, None, None, np.nan, np.nan, 0, 0)
    boot = _bootstrap(table, labels, resamples, seed)
    return Difference(
        mean=float(boot.mean[0]),
        interval=_interval(boot, 0, level),
        p=_p_value(boot, 0),
        mean_a=float(first[paired].mean()),
        mean_b=float(second[paired].mean()),
        n_images=int(paired.sum()),
        n_groups=boot.n_groups,
    )


class _Bootstrap(NamedTuple):
    """Means of K metrics, and how far resampled means lie from them."""

    mean: Floats  # [K]
    error: Floats  # [K], standard error of the mean
    t: Floats  # [R, K], sorted: (resampled mean − mean) / its own standard error; may be infinite
    n_groups: int


def _bootstrap(table: Floats, labels: NDArray[Any], resamples: int, seed: int) -> _Bootstrap:
    """Draw groups of pictures with replacement.

    Pictures are averaged, whatever group they are in, so a resampled mean is a ratio of two sums
    over groups; its standard error is that of a ratio, by linearisation.

    Args:
        table: Errors [N, K], without NaN.
        labels: Group of each picture [N], 0..G−1.
        resamples: R.
        seed: Of the draws.
    """
    count = int(labels.max()) + 1 if len(labels) else 0
    mean = table.mean(axis=0) if count else np.full(table.shape[1], np.nan)
    if count < LEAST_GROUPS:
        return _Bootstrap(mean, np.zeros_like(mean), np.zeros((0, len(mean))), count)
    size = np.bincount(labels, minlength=count).astype(np.float64)  # [G]
    # What a group adds to the sum of errors beyond what its size lets expect [G, K]. Centred
    # before anything is squared, so that nothing cancels later.
    excess = np.zeros((count, table.shape[1]))
    np.add.at(excess, labels, table - mean)
    correction = count / (count - 1)  # G − 1 degrees of freedom
    error = np.sqrt(correction * (excess**2).sum(axis=0)) / size.sum()
    parts = np.concatenate([excess, excess**2, excess * size[:, None]], axis=1)  # [G, 3K]
    t = []
    for drawn in _draws(count, resamples, seed):  # [r, G]
        summed, squared, mixed = np.split(drawn @ parts, 3, axis=1)  # [r, K] each
        pictures = (drawn @ size)[:, None]
        away = summed / pictures
        spread = squared - 2 * away * mixed + away**2 * (drawn @ size**2)[:, None]
        t.append(_studentise(away, spread, squared, pictures, correction))
    return _Bootstrap(mean, error, np.sort(np.concatenate(t), axis=0), count)


def _studentise(
    away: Floats, spread: Floats, squared: Floats, pictures: Floats, correction: float
) -> Floats:
    """Distances from the mean in standard errors; infinite where a resample has no spread."""
    flat = spread <= 1e-12 * squared  # one group drawn again and again, but for rounding
    error = np.sqrt(correction * np.where(flat, 1.0, spread)) / pictures
    beyond = np.where(away == 0, 0.0, np.copysign(np.inf, away))
    t: Floats = np.where(flat, beyond, away / error)
    return t


def _draws(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each of G groups was drawn [r, G], R rows in all, a block at a time."""
    rng = np.random.default_rng(seed)
    rows = max(_BLOCK // count, 1)
    for start in range(0, resamples, rows):
        r = min(rows, resamples - start)
        drawn = rng.integers(count, size=(r, count)) + count * np.arange(r)[:, None]
        yield np.bincount(drawn.ravel(), minlength=r * count).reshape(r, count).astype(np.float64)


def _interval(boot: _Bootstrap, k: int, level: float) -> Interval | None:
    """The means that the resamples do not speak against."""
    if boot.n_groups < LEAST_GROUPS:
        return None
    mean, error, t = float(boot.mean[k]), float(boot.error[k]), boot.t[:, k]
    if error == 0:
        return (mean, mean)
    tail = _beyond(len(t), level)
    low, high = mean - error * float(t[-1 - tail]), mean - error * float(t[tail])
    return (low, high) if np.isfinite([low, high]).all() else None


def _beyond(resamples: int, level: float) -> int:
    """Resamples beyond either end of an interval: as many as still make p < 1 − level."""
    return math.ceil((1 - level) * (resamples + 1) / 2) - 2


def _p_value(boot: _Bootstrap, k: int) -> float | None:
    """How often resamples lie as far from the mean as 0 does, on the rarer side, twice."""
    if boot.n_groups < LEAST_GROUPS:
        return None
    mean, error, t = float(boot.mean[k]), float(boot.error[k]), boot.t[:, k]
    if error == 0:  # all groups agree: 0 at once, or as unlikely as so many equal signs
        return 1.0 if mean == 0 else max(2 / (len(t) + 1), 2.0 ** (1 - boot.n_groups))
    here = mean / error
    rarer = min(int((t >= here).sum()), int((t <= here).sum()))
    return min(2 * (rarer + 1) / (len(t) + 1), 1.0)


def _defined(
    columns: Mapping[str, Any], groups: Sequence[Hashable] | None
) -> list[tuple[list[str], Floats, NDArray[Any]]]:
    """Columns that are defined on the same pictures, as tables [N, K] with group labels [N]."""
    alike: dict[bytes, list[str]] = {}
    arrays = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    for name, array in arrays.items():
        alike.setdefault(np.isnan(array).tobytes(), []).append(name)
    found = []
    for names in alike.values():
        table = np.stack([arrays[name] for name in names], axis=1)
        kept = ~np.isnan(table[:, 0])
        found.append((names, table[kept], _labels(groups, kept)))
    return found


def _labels(groups: Sequence[Hashable] | None, kept: NDArray[np.bool_]) -> NDArray[Any]:
    """Numbers 0..G−1 in place of names, of the pictures that are kept."""
    if groups is None:
        return np.arange(int(kept.sum()))
    chosen = [group for group, keep in zip(groups, kept, strict=True) if keep]
    # By name, so that the draws do not depend on the order of the pictures.
    numbers = {group: i for i, group in enumerate(sorted(set(chosen), key=str))}
    return np.array([numbers[group] for group in chosen], dtype=np.int64)


def _check(
    columns: Mapping[str, Sequence[float]],
    groups: Sequence[Hashable] | None,
    level: float,
    resamples: int,
) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if groups is not None:
        lengths["groups"] = len(groups)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"one entry per picture is needed in each, got {lengths}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}; 95 % is 0.95")
    if _beyond(resamples, level) < 0:
        raise ValueError(
            f"{resamples} resamples do not reach to the ends of a {level:.4g} interval; "
            f"take {RESAMPLES}"
        )
