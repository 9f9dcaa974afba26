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
from mattingzoo.metrics.accumulate import UNDER_WAY, PerImage

PAIRS = pytest.mark.parametrize(
    ("cls", "function"), [(SAD, sad), (MSE, mse), (MAD, mad), (Grad, grad), (Conn, conn)]
)
STATES = ("values", "index")


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
    assert len(metric.per_image()["index"]) == 4


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
    make: Callable[[], PerImage], convert: Callable[[nn.Module], nn.Module]
) -> None:
    metric = make()
    module = nn.ModuleDict({"metric": metric, "layer": nn.Linear(2, 2)})
    metric.add(torch.full((1, len(metric.names)), 1 / 3, dtype=torch.float64))
    before = metric.values[0].clone()
    convert(module)
    assert torch.equal(metric.values[0], before)
    assert metric.values[0].dtype == torch.float64
    assert metric.index[0].dtype == torch.int64


def test_set_dtype_is_obeyed() -> None:
    metric = SAD()
    metric.add(torch.ones(1, 1, dtype=torch.float64))
    assert metric.set_dtype(torch.float32).values[0].dtype == torch.float32


def test_states_move_to_another_device() -> None:
    metric = MattingMetrics()
    metric.update(*images(2, seed=0))
    metric.to("meta")
    assert [getattr(metric, name)[0].device.type for name in STATES] == ["meta"] * 2


def test_mean_over_many_images_is_not_rounded_to_float32() -> None:
    metric = SAD()
    small = torch.full((100, 1), 1e-8, dtype=torch.float64)
    metric.add(torch.ones(1, 1, dtype=torch.float64))
    metric.add(small)
    torch.testing.assert_close(metric.mean() * 101, 1 + 100 * small[0], rtol=1e-14, atol=0)


def test_merged_states_equal_one_metric() -> None:
    parts, whole = [MattingMetrics(), MattingMetrics()], MattingMetrics()
    for part, data in zip(parts, (images(3, seed=0), images(2, seed=1)), strict=True):
        part.update(*data)
        whole.update(*data)
    parts[0].merge_state(parts[1])
    merged, at_once = parts[0].compute(), whole.compute()
    assert {k: v.item() for k, v in merged.items()} == pytest.approx(
        {k: v.item() for k, v in at_once.items()}, rel=1e-14
    )


@pytest.mark.parametrize("make", [SAD, MattingMetrics])
def test_compute_sums_the_states_of_all_processes(make: Callable[[], PerImage]) -> None:
    here, there, single = make(), make(), make()
    batches = [images(3, seed=0), images(2, seed=1)]
    if make is SAD:
        batches = [(pred, alpha, trimap == 0.5) for pred, alpha, trimap in batches]
    for metric, batch in zip((here, there), batches, strict=True):
        metric.update(*batch)
        single.update(*batch)
    remote = iter([torch.cat(getattr(there, name)) for name in STATES])

    def gather(state: Tensor, group: Any) -> list[Tensor]:
        return [state, next(remote)]

    here.distributed_available_fn = lambda: True
    here.dist_sync_fn = gather
    assert here.compute() == single.compute()
    assert sum(map(len, here.values)) == 3  # afterwards the process has its own states back


def test_images_stand_in_the_order_of_the_data_set_and_count_once() -> None:
    metrics, plain = MattingMetrics(), MattingMetrics()
    pred, alpha, trimap = images(4, seed=0)
    plain.update(pred, alpha, trimap)
    # As two processes would have it: 2, 0 and, to fill up, 3; then 3 and 1.
    for order in ([2, 0, 3], [3, 1]):
        metrics.update(pred[order], alpha[order], trimap[order], torch.tensor(order))
    assert metrics.compute() == plain.compute()
    mine, theirs = metrics.per_image(), plain.per_image()
    assert mine.pop("index").tolist() == [0, 1, 2, 3]
    assert theirs.pop("index").tolist() == [-1] * 4
    assert {k: v.tolist() for k, v in mine.items()} == {k: v.tolist() for k, v in theirs.items()}


def test_scores_under_way_are_finished_when_asked_for() -> None:
    metric, plain = SAD(), SAD()
    finished: list[int] = []

    def later(i: int) -> Callable[[], Tensor]:
        def errors() -> Tensor:
            finished.append(i)
            return torch.full((1, 1), float(i), dtype=torch.float64)

        return errors

    for i in range(UNDER_WAY + 3):
        metric.add_later(later(i), torch.tensor([i]))
        plain.add(torch.full((1, 1), float(i), dtype=torch.float64), torch.tensor([i]))
    assert finished == [0, 1, 2]  # no more than so many wait at a time, the oldest go first
    assert metric.mean() == plain.mean()
    assert metric.per_image()["SAD"].tolist() == list(range(UNDER_WAY + 3))


def test_undefined_images_are_left_out_counted_and_reported() -> None:
    metrics = MattingMetrics()
    pred, alpha, trimap = images(3, seed=0)
    trimap[1] = 1
    metrics.update(pred, alpha, trimap)
    with pytest.warns(UserWarning, match=r"MSE/unknown of 1 of 3, MAD/unknown of 1 of 3 images"):
        means = metrics.compute()
    errors = scores(pred, alpha, trimap)["MSE/unknown"]
    torch.testing.assert_close(means["MSE/unknown"], errors[[0, 2]].mean())
    undefined = {k: v.isnan().nonzero().flatten().tolist() for k, v in metrics.per_image().items()}
    assert {k: v for k, v in undefined.items() if v} == {"MSE/unknown": [1], "MAD/unknown": [1]}


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
def test_reset_forgets(make: Callable[[], PerImage]) -> None:
    metric = make()
    metric.add(torch.full((2, len(metric.names)), float("nan"), dtype=torch.float64))
    metric.reset()
    assert not any(getattr(metric, name) for name in STATES)


def test_pickled_metric_goes_on() -> None:
    metrics = MattingMetrics()
    metrics.update(*images(2, seed=0))
    copy = pickle.loads(pickle.dumps(metrics))
    for metric in (metrics, copy):
        metric.update(*images(1, seed=1))
    assert copy.compute() == metrics.compute()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_update_on_cuda_waits_for_nothing_and_equals_the_cpu() -> None:
    on_cuda, on_cpu = MattingMetrics().cuda(), MattingMetrics()
    for seed in range(3):
        batch = images(2, seed)
        moved = [tensor.cuda() for tensor in batch]
        on_cuda.update(*moved)  # the first allocates
        torch.cuda.set_sync_debug_mode("error")
        try:
            on_cuda.update(*moved)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        for _ in range(2):
            on_cpu.update(*batch)
    measured = {name: value.item() for name, value in on_cuda.compute().items()}
    expected = {name: value.item() for name, value in on_cpu.compute().items()}
    assert measured == pytest.approx(expected, rel=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_values_out_of_range_on_cuda_are_found_at_the_end() -> None:
    metrics = MattingMetrics(("whole",)).cuda()
    metrics.update(torch.full((1, 1, 4, 4), 2.0).cuda(), torch.zeros(1, 1, 4, 4).cuda())
    with pytest.raises(ValueError, match=r"pred must lie in \[0, 1\], got \[2, 2\]"):
        metrics.compute()
