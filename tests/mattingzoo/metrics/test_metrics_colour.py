"""The error of foreground colours where the true alpha is above 0."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mattingzoo.metrics.colour import ForegroundMSE, mse_fg


def images(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random 8-bit predicted and true foregrounds, and mattes, half of which are 0."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randint(256, (2, count, 3, 6, 8), generator=generator).byte()
    alpha = torch.randint(-255, 256, (count, 1, 6, 8), generator=generator).clamp(min=0).byte()
    return colours[0], colours[1], alpha


def slow_mse(pred: np.ndarray, true: np.ndarray, alpha: np.ndarray, mask: np.ndarray) -> float:
    terms = [
        Fraction(int(p) - int(t), 255) ** 2
        for y, x in np.ndindex(alpha.shape)
        if alpha[y, x] > 0 and mask[y, x]
        for p, t in zip(pred[:, y, x], true[:, y, x], strict=True)
    ]
    return float(sum(terms, Fraction(0)) / len(terms)) if terms else float("nan")


@settings(deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 5))
def test_equals_the_slow_reference(data: st.DataObject, height: int, width: int) -> None:
    pred, true = (data.draw(arrays(np.uint8, (3, height, width))) for _ in range(2))
    alpha = data.draw(arrays(np.uint8, (height, width), elements=st.sampled_from([0, 1, 9, 255])))
    mask = data.draw(arrays(np.bool_, (height, width)))
    batch = [torch.from_numpy(array)[None] for array in (pred, true)]
    mattes = [torch.from_numpy(array)[None, None] for array in (alpha, mask)]
    expected = slow_mse(pred, true, alpha, mask)
    assert mse_fg(*batch, *mattes).item() == pytest.approx(expected, rel=1e-14, nan_ok=True)
    everywhere = slow_mse(pred, true, alpha, np.ones_like(mask))
    assert mse_fg(*batch, mattes[0]).item() == pytest.approx(everywhere, rel=1e-14, nan_ok=True)


def test_value_by_hand() -> None:
    true = torch.zeros(1, 3, 1, 4)
    pred = true.clone()
    pred[0, :, 0, 0] = torch.tensor([0.2, 0.4, 1])  # 0.04 + 0.16 + 1
    pred[0, :, 0, 1] = 1  # where alpha is 0
    alpha = torch.tensor([1, 0, 0.004, 0.001]).reshape(1, 1, 1, 4)  # the last rounds to 0
    assert mse_fg(pred, true, alpha).item() == pytest.approx(1.2 / 6, rel=1e-15)


def test_sums_of_large_images_are_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, true = torch.randint(256, (2, 1, 3, 300, 300), generator=generator).byte().unbind()
    squares = (pred.numpy().astype(np.int64) - true.numpy()) ** 2
    everywhere = torch.full((1, 1, 300, 300), 255, dtype=torch.uint8)
    assert mse_fg(pred, true, everywhere).item() == int(squares.sum()) / (3 * 65025 * 90000)


def test_relation_to_background_matting_v2() -> None:
    # its sum and its divisor, as eval/benchmark.m and compute_mse_loss.m have them
    pred, true, alpha = images(1, seed=0)
    unknown = torch.rand(alpha.shape, generator=torch.Generator().manual_seed(0)) > 0.4
    error = (pred.double() * (alpha > 0) - true.double() * (alpha > 0)) / 255
    theirs = (error**2 * unknown).sum(dim=(2, 3)) / unknown.sum()
    share = ((alpha > 0) & unknown).sum() / unknown.sum()
    ours = mse_fg(pred, true, alpha, unknown) * share.double()
    torch.testing.assert_close(ours, theirs.mean(dim=1), rtol=1e-6, atol=0)


def test_colours_outside_the_foreground_do_not_matter() -> None:
    pred, true, alpha = images(2, seed=1)
    other = torch.where(alpha > 0, pred, 255 - pred)
    assert torch.equal(mse_fg(other, true, alpha), mse_fg(pred, true, alpha))


def test_alpha_counts_as_above_zero_or_not() -> None:
    pred, true, alpha = images(2, seed=1)
    assert torch.equal(mse_fg(pred, true, alpha), mse_fg(pred, true, (alpha > 0).byte()))


def test_without_foreground_it_is_undefined() -> None:
    pred, true, alpha = images(3, seed=2)
    alpha[1] = 0
    assert mse_fg(pred, true, alpha).isnan().tolist() == [False, True, False]
    nowhere = torch.zeros_like(alpha, dtype=torch.bool)
    assert mse_fg(pred, true, alpha, nowhere).isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_8_bit_values_as_floats_score_the_same(dtype: torch.dtype) -> None:
    batch = images(2, seed=3)
    scaled = [tensor.to(dtype) / 255 for tensor in batch]
    assert torch.equal(mse_fg(*scaled), mse_fg(*batch))
    assert torch.equal(mse_fg(scaled[0], batch[1], scaled[2]), mse_fg(*batch))


def test_batch_equals_one_by_one() -> None:
    batch = images(3, seed=4)
    singly = [mse_fg(*(tensor[i : i + 1] for tensor in batch)) for i in range(3)]
    assert torch.equal(mse_fg(*batch), torch.cat(singly))
    assert mse_fg(*batch).dtype == torch.float64


def test_inputs_are_left_alone() -> None:
    batch = images(2, seed=5)
    mask = torch.rand(batch[2].shape) > 0.5
    copies = [tensor.clone() for tensor in (*batch, mask)]
    mse_fg(*batch, mask)
    assert all(map(torch.equal, (*batch, mask), copies))


def test_memory_layout_does_not_matter() -> None:
    pred, true, alpha = images(2, seed=6)
    channels_last = [tensor.to(memory_format=torch.channels_last) for tensor in (pred, true)]
    assert torch.equal(mse_fg(*channels_last, alpha), mse_fg(pred, true, alpha))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    batch = images(2, seed=7)
    error = mse_fg(*(tensor.cuda() for tensor in batch))
    assert error.is_cuda
    assert torch.equal(error.cpu(), mse_fg(*batch))


# The torchmetrics class


def test_mean_is_over_images_not_batches() -> None:
    metric, first, second = ForegroundMSE(), images(3, seed=0), images(1, seed=1)
    mask = torch.rand(second[2].shape) > 0.2
    metric.update(*first)
    metric.update(*second, mask)
    errors = torch.cat([mse_fg(*first), mse_fg(*second, mask)])
    torch.testing.assert_close(metric.compute(), errors.mean())


def test_an_image_with_an_index_counts_once() -> None:
    metric, (pred, true, alpha) = ForegroundMSE(), images(2, seed=0)
    metric.update(pred, true, alpha, None, torch.arange(2))
    metric.update(pred[:1], true[:1], alpha[:1], None, torch.zeros(1, dtype=torch.int64))
    assert metric.compute() == mse_fg(pred, true, alpha).mean()


def test_reset_forgets() -> None:
    metric = ForegroundMSE()
    metric.update(*images(2, seed=0))
    metric.reset()
    metric.update(*images(1, seed=1))
    assert metric.compute() == mse_fg(*images(1, seed=1))[0]


def test_images_without_foreground_are_left_out_and_counted() -> None:
    metric, (pred, true, alpha) = ForegroundMSE(), images(3, seed=0)
    alpha[2] = 0
    metric.update(pred, true, alpha)
    with pytest.warns(UserWarning, match="ForegroundMSE of 1 of 3"):
        assert metric.compute() == mse_fg(pred, true, alpha)[:2].mean()


def test_persistent_state_goes_on() -> None:
    metric, copy = ForegroundMSE(), ForegroundMSE()
    for each in (metric, copy):
        each.persistent(True)
    metric.update(*images(2, seed=0))
    copy.load_state_dict(metric.state_dict())
    for each in (metric, copy):
        each.update(*images(1, seed=1))
    assert copy.compute() == metric.compute()


# Refused input


@pytest.mark.parametrize("shape", [(2, 1, 6, 8), (1, 3, 6, 8), (2, 3, 6, 7), (3, 6, 8)])
@pytest.mark.parametrize("name", ["pred_foreground", "foreground"])
def test_refuses_colours_that_do_not_fit_the_matte(name: str, shape: tuple[int, ...]) -> None:
    pred, true, alpha = images(2, seed=0)
    colours = {"pred_foreground": pred, "foreground": true} | {name: torch.zeros(shape)}
    with pytest.raises(ValueError, match=rf"{name} must be \(2, 3, 6, 8\) over alpha"):
        mse_fg(**colours, alpha=alpha)


def test_refuses_values_outside_the_unit_interval() -> None:
    pred, true, alpha = images(1, seed=0)
    with pytest.raises(ValueError, match=r"^pred_foreground must lie in \[0, 1\], got \["):
        mse_fg(pred.float(), true, alpha)
    with pytest.raises(ValueError, match=r"^foreground must lie in \[0, 1\], got \[nan, nan\]"):
        mse_fg(pred, torch.full(true.shape, float("nan")), alpha)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got \["):
        mse_fg(pred, true, -alpha.float())


def test_refuses_other_integers_and_masks() -> None:
    pred, true, alpha = images(1, seed=0)
    with pytest.raises(ValueError, match=r"^foreground must be uint8 or floats .* torch\.int32"):
        mse_fg(pred, true.int(), alpha)
    with pytest.raises(ValueError, match=r"mask must be bool \(1, 1, 6, 8\) .* got torch\.uint8"):
        mse_fg(pred, true, alpha, alpha)
    with pytest.raises(ValueError, match=r"mask must be bool .* got torch\.bool \(1, 3, 6, 8\)"):
        mse_fg(pred, true, alpha, true > 0)
