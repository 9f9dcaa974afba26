"""The torchmetrics classes: means over images, their precision, and their synchronisation."""

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mattingzoo.metrics import (
    MAD,
    MSE,
    SAD,
    Conn,
    Grad,
    ImageMean,
    MattingMetrics,
    conn,
    grad,
    mad,
    mse,
    sad,
    score_names,
    scores,
)
from mattingzoo.metrics.accumulate import Totals

PAIRS = pytest.mark.parametrize(
    ("cls", "function"), [(SAD, sad), (MSE, mse), (MAD, mad), (Grad, grad), (Conn, conn)]
)
STATES = ("total", "count", "undefined")


def images(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random prediction, truth and trimap with unknown pixels in every image."""
    generator = torch.Generator().manual_seed(seed)
    pred, alpha = torch.rand((2, count, 1, 10, 12), generator=generator)
    return pred, alpha, (alpha > 0.3).float() / 2


@PAIRS
def test_mean_is_over_images_not_batches(
    cls: type[ImageMean], function: Callable[..., Tensor]
) -> None:
    metric = cls()
    (pred, alpha, trimap), (pred2, alpha2, trimap2) = images(3, seed=0), images(1, seed=1)
    metric.update(pred, alpha, trimap == 0.5)
    metric.update(pred2, alpha2, trimap2 == 0.5)
    errors = torch.cat(
        [function(pred, alpha, trimap == 0.5), function(pred2, alpha2, trimap2 == 0.5)]
    )
    torch.testing.assert_close(metric.compute(), errors.mean())


@PAIRS
def test_forward_gives_the_mean_of_the_batch(
    cls: type[ImageMean], function: Callable[..., Tensor]
) -> None:
    metric = cls()
    metric.update(*images(2, seed=0)[:2])
    pred, alpha, _ = images(2, seed=1)
    torch.testing.assert_close(metric(pred, alpha), function(pred, alpha).mean())
    assert metric.count == 4


def test_matting_metrics_average_all_scores() -> None:
    metrics = MattingMetrics()
    first, second = images(3, seed=0), images(1, seed=1)
    metrics.update(*first)
    metrics.update(*second)
    means = metrics.compute()
    assert tuple(means) == score_names(("unknown", "whole"))
    for name, mean in means.items():
        errors = torch.cat([scores(*first)[name], scores(*second)[name]])
        torch.testing.assert_close(mean, errors.mean())


def test_whole_image_alone_needs_no_trimap() -> None:
    metrics = MattingMetrics(regions=("whole",))
    metrics.update(*images(2, seed=0)[:2])
    assert tuple(metrics.compute()) == score_names(("whole",))


def test_unknown_region_needs_a_trimap() -> None:
    with pytest.raises(ValueError, match="trimap must be given to score the region 'unknown'"):
        MattingMetrics().update(*images(2, seed=0)[:2])


def test_no_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="regions must be 'unknown', 'whole' or both, got"):
        MattingMetrics(regions=())


@pytest.mark.parametrize("make", [SAD, MattingMetrics])
@pytest.mark.parametrize(
    "convert",
    [
        nn.Module.half,
        nn.Module.bfloat16,
        nn.Module.float,
        lambda module: module.to(torch.bfloat16),
        lambda module: module.to("cpu", torch.float16),
    ],
)
def test_conversion_of_the_module_keeps_float64(
    make: Callable[[], Totals], convert: Callable[[nn.Module], nn.Module]
) -> None:
    metric = make()
    module = nn.ModuleDict({"metric": metric, "layer": nn.Linear(2, 2)})
    metric.add(torch.full((1, len(metric.names)), 1 / 3, dtype=torch.float64))
    before = metric.total.clone()
    convert(module)
    assert torch.equal(metric.total, before)
    assert metric.total.dtype == torch.float64
    metric.reset()
    assert metric.total.dtype == torch.float64


def test_set_dtype_is_obeyed() -> None:
    assert SAD().set_dtype(torch.float32).total.dtype == torch.float32


def test_states_move_to_another_device() -> None:
    metric = MattingMetrics().to("meta")
    assert [getattr(metric, name).device.type for name in STATES] == ["meta"] * 3


@pytest.mark.parametrize("make", [SAD, MattingMetrics])
def test_sum_over_many_images_is_not_rounded_to_float32(make: Callable[[], Totals]) -> None:
    metric = make()
    small = torch.full((1, len(metric.names)), 1e-8, dtype=torch.float64)
    metric.add(torch.ones_like(small))
    for _ in range(100):
        metric.add(small)
    torch.testing.assert_close(metric.total, 1 + 100 * small[0], rtol=1e-12, atol=0)


def test_merged_states_equal_one_metric() -> None:
    parts, whole = [MattingMetrics(), MattingMetrics()], MattingMetrics()
    for part, data in zip(parts, (images(3, seed=0), images(2, seed=1)), strict=True):
        part.update(*data)
        whole.update(*data)
    parts[0].merge_state(parts[1])
    assert parts[0].compute() == whole.compute()


@pytest.mark.parametrize("make", [SAD, MattingMetrics])
def test_compute_sums_the_states_of_all_processes(make: Callable[[], Totals]) -> None:
    here, there, single = make(), make(), make()
    batches = [images(3, seed=0), images(2, seed=1)]
    if make is SAD:
        batches = [(pred, alpha, trimap == 0.5) for pred, alpha, trimap in batches]
    for metric, batch in zip((here, there), batches, strict=True):
        metric.update(*batch)
        single.update(*batch)
    remote = iter([getattr(there, name) for name in STATES])

    def gather(state: Tensor, group: Any) -> list[Tensor]:
        return [state, next(remote)]

    here.distributed_available_fn = lambda: True
    here.dist_sync_fn = gather
    assert here.compute() == single.compute()
    assert here.count[0] == 3  # afterwards the process has its own states back


def test_undefined_images_are_left_out_counted_and_reported() -> None:
    metrics = MattingMetrics()
    pred, alpha, trimap = images(3, seed=0)
    trimap[1] = 1
    metrics.update(pred, alpha, trimap)
    with pytest.warns(UserWarning, match=r"MSE/unknown of 1 of 3, MAD/unknown of 1 of 3 images"):
        means = metrics.compute()
    errors = scores(pred, alpha, trimap)["MSE/unknown"]
    torch.testing.assert_close(means["MSE/unknown"], errors[[0, 2]].mean())
    undefined = dict(zip(metrics.names, metrics.undefined.tolist(), strict=True))
    assert {name: n for name, n in undefined.items() if n} == {"MSE/unknown": 1, "MAD/unknown": 1}


def test_all_images_undefined_gives_nan() -> None:
    metric = MSE()
    pred, alpha, _ = images(2, seed=0)
    metric.update(pred, alpha, torch.zeros_like(pred, dtype=torch.bool))
    with pytest.warns(UserWarning, match="left out of the mean: MSE of 2 of 2 images"):
        assert metric.compute().isnan()


def test_warns_once_per_compute() -> None:
    metrics = MattingMetrics()
    pred, alpha, trimap = images(2, seed=0)
    metrics.update(pred, alpha, torch.zeros_like(trimap))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metrics.compute()
    assert len(caught) == 1


def test_no_images_give_nan() -> None:
    metric = SAD()
    with pytest.warns(UserWarning, match="was called before"):
        assert metric.compute().isnan()


@pytest.mark.parametrize("make", [SAD, MattingMetrics])
def test_reset_forgets(make: Callable[[], Totals]) -> None:
    metric = make()
    metric.add(torch.full((2, len(metric.names)), float("nan"), dtype=torch.float64))
    metric.reset()
    assert not any(getattr(metric, name).any() for name in STATES)


def test_pickled_metric_goes_on() -> None:
    metrics = MattingMetrics()
    metrics.update(*images(2, seed=0))
    copy = pickle.loads(pickle.dumps(metrics))
    for metric in (metrics, copy):
        metric.update(*images(1, seed=1))
    assert copy.compute() == metrics.compute()
