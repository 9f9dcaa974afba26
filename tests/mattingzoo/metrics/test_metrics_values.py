"""Scores worked out by hand, properties of all scores, and refused input."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mattingzoo.metrics import (
    Region,
    conn,
    connection_levels,
    grad,
    mad,
    mse,
    region_mask,
    sad,
    score_names,
    scores,
)
from mattingzoo.metrics.gradient import DERIVATIVE, GAUSSIAN

Metric = Callable[[Tensor, Tensor, Tensor | None], Tensor]
METRICS = pytest.mark.parametrize("metric", [sad, mse, mad, grad, conn])
EVERY_LEVEL = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def mattes(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random 8-bit mattes."""
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=generator)
    return pair[0], pair[1]


def constant(value: int, *shape: int) -> Tensor:
    return torch.full((1, 1, *shape), value, dtype=torch.uint8)


# Values by hand


def test_sad_of_one_half_is_128_of_255_per_pixel() -> None:
    error = sad(torch.full((1, 1, 100, 200), 0.5), torch.zeros(1, 1, 100, 200))
    assert error.item() == 20 * 128 / 255


def test_mse_is_the_mean_over_the_mask() -> None:
    pred = torch.tensor([0.2, 0.6, 1.0, 1.0]).reshape(1, 1, 2, 2)
    mask = torch.tensor([True, True, False, False]).reshape(1, 1, 2, 2)
    assert mse(pred, torch.zeros_like(pred), mask).item() == pytest.approx(0.2, rel=1e-15)


def test_mad_is_the_mean_over_the_mask() -> None:
    pred = torch.tensor([0.2, 0.6, 1.0, 1.0]).reshape(1, 1, 2, 2)
    mask = torch.tensor([True, True, False, False]).reshape(1, 1, 2, 2)
    assert mad(pred, torch.zeros_like(pred), mask).item() == pytest.approx(0.4, rel=1e-15)


def test_taps_of_the_gradient_filter() -> None:
    smooth = (0.634817689, 0.491880506, 0.228818632, 0.063906398, 0.010715649)
    assert pytest.approx(smooth, abs=5e-10) == GAUSSIAN
    assert pytest.approx((0, 0.496888669, 0.462296774, 0.193671216, 0.043299009), abs=5e-10) == (
        DERIVATIVE
    )


def test_grad_of_a_step() -> None:
    step = torch.cat([constant(0, 1, 20), constant(255, 1, 20)], dim=3)
    tails = [sum(DERIVATIVE[k:]) for k in range(1, 5)]  # at 1, 2, 3, 4 pixels from the step
    across = GAUSSIAN[0] + 2 * sum(GAUSSIAN[1:])
    expected = 2 * sum((across * tail) ** 2 for tail in tails) / 1000
    assert grad(step, constant(7, 1, 40)).item() == pytest.approx(expected, rel=1e-6)


def test_grad_stretches_each_matte_by_its_own_range() -> None:
    ramp = torch.arange(0, 200, 10, dtype=torch.uint8).expand(1, 1, 20, 20)
    assert grad(ramp, ramp // 10 + 50).item() == pytest.approx(0, abs=1e-9)


def test_grad_of_an_inverted_matte_is_zero() -> None:
    pred, _ = mattes(1, 1, 20, 30)
    assert grad(pred, 255 - pred).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("pred", "alpha"), [(0, 255), (3, 3), (128, 7)])
def test_grad_of_constant_mattes_is_exactly_zero(pred: int, alpha: int) -> None:
    assert grad(constant(pred, 11, 13), constant(alpha, 11, 13)).item() == 0


def test_conn_does_not_forgive_levels_that_no_pixel_reaches() -> None:
    assert conn(constant(128, 20, 50), constant(255, 20, 50)).item() == 0.5


def test_conn_of_an_empty_prediction_counts_all_from_0_15() -> None:
    alpha = torch.tensor([38, 39, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)  # 38.25 is 0.15
    assert conn(torch.zeros_like(alpha), alpha).item() == (39 + 255) / 255_000


def test_alpha_of_a_threshold_reaches_it() -> None:
    steps = np.array([[25, 26, 50, 51, 152, 153, 254, 255]], dtype=np.uint8)
    assert connection_levels(steps, np.full_like(steps, 255)).tolist() == [
        [0, 1, 1, 2, 5, 6, 9, 10]
    ]


def test_tied_components_are_taken_in_column_major_order() -> None:
    alpha = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    assert connection_levels(alpha, alpha).tolist() == [[0, 0], [10, 0]]


def test_components_touching_at_a_corner_are_separate() -> None:
    alpha = np.array([[255, 255, 0, 0], [0, 0, 255, 0]], dtype=np.uint8)
    assert connection_levels(alpha, alpha).tolist() == [[10, 10, 0, 0], [0, 0, 0, 0]]


def test_largest_component_outside_the_last_one_ends_the_search() -> None:
    alpha = np.array([[128, 255, 128, 128, 0, 255, 255]], dtype=np.uint8)
    assert connection_levels(alpha, alpha).tolist() == [[5, 5, 5, 5, 0, 0, 0]]


# Properties of all scores


@METRICS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_8_bit_values_as_floats_score_the_same(metric: Metric, dtype: torch.dtype) -> None:
    alpha = EVERY_LEVEL.flip(3).contiguous()
    expected = metric(EVERY_LEVEL, alpha, None)
    assert metric(EVERY_LEVEL.to(dtype) / 255, alpha.to(dtype) / 255, None) == expected
    assert metric(EVERY_LEVEL, alpha.to(dtype) / 255, None) == expected


@METRICS
def test_floats_are_rounded_to_the_nearest_level(metric: Metric) -> None:
    pred, alpha = mattes(1, 1, 16, 16)
    between = ((pred.double() + 0.49) / 255).clamp(0, 1)
    assert metric(between, alpha, None) == metric(pred, alpha, None)


@METRICS
def test_batch_equals_one_by_one(metric: Metric) -> None:
    pred, alpha = mattes(3, 1, 12, 17)
    mask = pred > 100
    singly = [metric(pred[i : i + 1], alpha[i : i + 1], mask[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(
        metric(pred, alpha, mask), torch.cat(singly), rtol=1e-12 if metric is grad else 0, atol=0
    )


@METRICS
def test_result_is_float64_per_image(metric: Metric) -> None:
    error = metric(*mattes(2, 1, 5, 6), None)
    assert error.shape == (2,)
    assert error.dtype == torch.float64


@METRICS
def test_equal_mattes_score_zero(metric: Metric) -> None:
    pred, _ = mattes(2, 1, 15, 16)
    assert metric(pred, pred, None).tolist() == [0, 0]


@METRICS
def test_full_mask_is_the_whole_image(metric: Metric) -> None:
    pred, alpha = mattes(2, 1, 15, 16)
    everywhere = torch.ones_like(pred, dtype=torch.bool)
    assert torch.equal(metric(pred, alpha, everywhere), metric(pred, alpha, None))


@METRICS
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 4)])
def test_images_smaller_than_the_filter(metric: Metric, shape: tuple[int, int]) -> None:
    assert metric(*mattes(1, 1, *shape), None).isfinite().all()


@METRICS
def test_empty_mask_makes_means_undefined_and_sums_zero(metric: Metric) -> None:
    pred, alpha = mattes(1, 1, 10, 10)
    error = metric(pred, alpha, torch.zeros_like(pred, dtype=torch.bool))
    assert error.isnan() if metric in (mse, mad) else error == 0


@METRICS
def test_memory_layout_does_not_matter(metric: Metric) -> None:
    pred, alpha = mattes(2, 1, 20, 30)
    expected = metric(pred[..., ::2, ::3].contiguous(), alpha[..., ::2, ::3].contiguous(), None)
    torch.testing.assert_close(metric(pred[..., ::2, ::3], alpha[..., ::2, ::3], None), expected)


@METRICS
def test_inputs_are_left_alone(metric: Metric) -> None:
    pred, alpha = mattes(1, 1, 9, 9)
    copies = pred.clone(), alpha.clone()
    metric(pred, alpha, None)
    assert torch.equal(pred, copies[0])
    assert torch.equal(alpha, copies[1])


@METRICS
def test_prediction_may_require_a_gradient(metric: Metric) -> None:
    pred = torch.rand(1, 1, 8, 8, requires_grad=True)
    assert not metric(pred, torch.rand(1, 1, 8, 8), None).requires_grad


@METRICS
def test_autocast_changes_nothing(metric: Metric) -> None:
    pred, alpha = mattes(2, 1, 20, 30)
    expected = metric(pred / 255, alpha / 255, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(metric(pred / 255, alpha / 255, None), expected)


@METRICS
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu(metric: Metric) -> None:
    pred, alpha = mattes(2, 1, 40, 50)
    mask = pred > 100
    with torch.autocast("cuda", dtype=torch.float16):
        error = metric(pred.cuda(), alpha.cuda() / 255, mask.cuda())
    assert error.is_cuda
    torch.testing.assert_close(
        error.cpu(), metric(pred, alpha, mask), rtol=1e-6 if metric is grad else 0, atol=0
    )


# Regions and several scores at once


def test_scores_equal_the_functions() -> None:
    pred, alpha = mattes(2, 1, 20, 30)
    trimap = (pred > 80).float() / 2
    values = scores(pred, alpha, trimap)
    for name, metric in {"SAD": sad, "MSE": mse, "MAD": mad, "Grad": grad, "Conn": conn}.items():
        assert torch.equal(values[f"{name}/whole"], metric(pred, alpha))
        assert torch.equal(values[f"{name}/unknown"], metric(pred, alpha, trimap == 0.5))


def test_whole_image_needs_no_trimap() -> None:
    values = scores(*mattes(1, 1, 8, 8), regions=("whole",))
    assert list(values) == ["SAD/whole", "MSE/whole", "MAD/whole", "Grad/whole", "Conn/whole"]


def test_names_are_in_the_order_of_the_scores() -> None:
    pred, alpha = mattes(1, 1, 8, 8)
    assert tuple(scores(pred, alpha, constant(128, 8, 8))) == score_names(("unknown", "whole"))


def test_unknown_is_128_exactly_in_8_bit() -> None:
    trimap = torch.tensor([0, 1, 127, 128, 129, 255], dtype=torch.uint8)
    assert region_mask(trimap, "unknown").tolist() == [False, False, False, True, False, False]


def test_unknown_is_one_half_in_float() -> None:
    assert region_mask(torch.tensor([0, 0.5, 1]), "unknown").tolist() == [False, True, False]


def test_whole_is_every_pixel() -> None:
    assert region_mask(torch.tensor([0, 0.5, 1]), "whole").tolist() == [True, True, True]


# Refused input


@METRICS
def test_refuses_differing_shapes(metric: Metric) -> None:
    pred, alpha = torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 5, 4)
    with pytest.raises(
        ValueError, match=r"shapes differ: pred \(1, 1, 4, 5\), alpha \(1, 1, 5, 4\)"
    ):
        metric(pred, alpha, None)


@METRICS
def test_refuses_values_outside_the_unit_interval(metric: Metric) -> None:
    inside, outside = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 255.0)
    with pytest.raises(ValueError, match=r"pred must lie in \[0, 1\], got \[255, 255\]; divide"):
        metric(outside, inside, None)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got \[-255, -255\]"):
        metric(inside, -outside, None)


@METRICS
def test_refuses_nan(metric: Metric) -> None:
    pred = torch.zeros(1, 1, 4, 4)
    pred[..., 2, 2] = float("nan")
    with pytest.raises(ValueError, match=r"pred must lie in \[0, 1\], got NaN"):
        metric(pred, torch.zeros(1, 1, 4, 4), None)


@METRICS
@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (1, 3, 4, 4), (0, 1, 4, 4)])
def test_refuses_other_than_batches_of_mattes(metric: Metric, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pred must be \[B, 1, H, W\] and not empty, got shape"):
        metric(torch.zeros(shape), torch.zeros(shape), None)


@METRICS
def test_refuses_integers_other_than_uint8(metric: Metric) -> None:
    with pytest.raises(ValueError, match=r"alpha must be uint8 or floats .* got torch\.int64"):
        metric(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.int64), None)


@METRICS
def test_refuses_a_mask_that_is_not_bool(metric: Metric) -> None:
    zeros = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"mask must be bool, got torch\.float32; compare"):
        metric(zeros, zeros, zeros)


@METRICS
def test_refuses_a_mask_of_another_shape(metric: Metric) -> None:
    zeros = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"pred \(2, 1, 4, 4\), mask \(1, 1, 4, 4\)"):
        metric(zeros, zeros, torch.ones(1, 1, 4, 4, dtype=torch.bool))


def test_refuses_an_unheard_of_region() -> None:
    known: Region = "known"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="region must be 'unknown' or 'whole', got 'known'"):
        region_mask(torch.zeros(1, 1, 4, 4), known)
    with pytest.raises(ValueError, match=r"regions must be .* got \('whole', 'known'\)"):
        scores(*mattes(1, 1, 4, 4), regions=("whole", known))


@pytest.mark.parametrize("regions", [(), ("whole", "whole")])
def test_refuses_none_or_repeated_regions(regions: tuple[Region, ...]) -> None:
    with pytest.raises(ValueError, match="regions must be 'unknown', 'whole' or both"):
        score_names(regions)


def test_refuses_a_missing_trimap() -> None:
    with pytest.raises(ValueError, match="trimap must be given to score the region 'unknown'"):
        scores(*mattes(1, 1, 4, 4))


def test_refuses_a_trimap_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"pred \(1, 1, 4, 4\), trimap \(1, 1, 8, 8\)"):
        scores(*mattes(1, 1, 4, 4), constant(128, 8, 8))


def test_refuses_an_8_bit_trimap_divided_by_255() -> None:
    with pytest.raises(ValueError, match=r"trimap must be in \{0, 0\.5, 1\}, got 0\.501961; pass"):
        region_mask(constant(128, 4, 4) / 255, "unknown")


def test_refuses_a_trimap_of_other_integers() -> None:
    with pytest.raises(ValueError, match=r"trimap must be uint8 or floats .* got torch\.int64"):
        region_mask(torch.full((1, 1, 4, 4), 128), "unknown")
