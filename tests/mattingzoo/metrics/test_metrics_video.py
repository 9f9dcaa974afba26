"""The temporal errors dtSSD and MESSDdt of a clip."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mattingzoo.metrics.video import ClipScore, clip_score, dtssd, messddt

NAN = float("nan")


def clips(length: int, seed: int, height: int = 7, width: int = 9) -> tuple[Tensor, Tensor]:
    """Random 8-bit prediction and truth of one clip."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(256, (2, length, 1, height, width), generator=generator).byte()
    return frames[0], frames[1]


def flows(pairs: int, seed: int, height: int = 7, width: int = 9) -> Tensor:
    """Random motion of up to some pixels, a part of it unknown."""
    generator = torch.Generator().manual_seed(seed)
    flow = torch.randn(pairs, 2, height, width, generator=generator) * 2
    return flow.masked_fill(torch.rand(flow.shape, generator=generator) < 0.05, NAN)


def video(*frames: list[list[float]]) -> Tensor:
    """Frames [T, 1, H, W] from nested lists, float."""
    return torch.tensor(frames, dtype=torch.float32)[:, None]


def slow_dtssd(pred: np.ndarray, alpha: np.ndarray, mask: np.ndarray) -> float:
    pairs = []
    for t in range(len(pred) - 1):
        terms = [
            (
                (float(pred[t + 1, y, x]) - pred[t, y, x])
                - (float(alpha[t + 1, y, x]) - alpha[t, y, x])
            )
            / 255
            for y, x in np.ndindex(pred[t].shape)
            if mask[t, y, x]
        ]
        if terms:
            pairs.append(math.sqrt(math.fsum(term**2 for term in terms) / len(terms)))
    return math.fsum(pairs) / len(pairs) if pairs else NAN


def slow_lookup(image: np.ndarray, y: Fraction, x: Fraction) -> Fraction:
    """Weighted mean of the up to four pixels around a point inside the image, exact."""
    total = Fraction(0)
    for row, column in np.ndindex(image.shape):
        weight = max(1 - abs(y - row), 0) * max(1 - abs(x - column), 0)
        if weight:
            total += weight * int(image[row, column])
    return total


def slow_messddt(pred: np.ndarray, alpha: np.ndarray, flow: np.ndarray, mask: np.ndarray) -> float:
    height, width = pred.shape[1:]
    pairs = []
    for t in range(len(pred) - 1):
        terms = []
        for y, x in np.ndindex(height, width):
            right, down = flow[t, 0, y, x], flow[t, 1, y, x]
            if not mask[t, y, x] or not np.isfinite(right) or not np.isfinite(down):
                continue
            to_y, to_x = y + Fraction(float(down)), x + Fraction(float(right))
            if not (0 <= to_y <= height - 1 and 0 <= to_x <= width - 1):
                continue
            before = Fraction(int(pred[t, y, x]) - int(alpha[t, y, x]), 255)
            after = slow_lookup(pred[t + 1], to_y, to_x) - slow_lookup(alpha[t + 1], to_y, to_x)
            terms.append(abs(before**2 - (after / 255) ** 2))
        if terms:
            pairs.append(sum(terms) / len(terms))
    return float(sum(pairs) / len(pairs)) if pairs else NAN


@st.composite
def scored_clips(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Prediction, truth, mask and flow; motion of quarter pixels, far away, and unknown."""
    length = draw(st.integers(1, 4))
    height, width = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    mattes = [draw(arrays(np.uint8, (length, height, width))) for _ in range(2)]
    mask = draw(arrays(np.bool_, (length, height, width)))
    steps = st.integers(-8, 8).map(lambda quarters: quarters / 4)
    motion = st.one_of(steps, st.sampled_from([NAN, math.inf, -math.inf, 1e30, -1e30, 5.0]))
    flow = draw(arrays(np.float32, (length - 1, 2, height, width), elements=motion))
    return mattes[0], mattes[1], mask, flow


@settings(deadline=None)
@given(scored_clips())
def test_equal_the_slow_references(clip: tuple[np.ndarray, ...]) -> None:
    pred, alpha, mask, flow = clip
    tensors = [torch.from_numpy(array)[:, None] for array in (pred, alpha, mask)]
    motion = torch.from_numpy(flow)
    for region, chosen in ((mask, tensors[2]), (np.ones_like(mask), None)):
        assert dtssd(*tensors[:2], chosen).item() == pytest.approx(
            slow_dtssd(pred, alpha, region), rel=1e-12, nan_ok=True
        )
        assert messddt(*tensors[:2], motion, chosen).item() == pytest.approx(
            slow_messddt(pred, alpha, flow, region), rel=1e-6, abs=1e-8, nan_ok=True
        )


def test_dtssd_times_100_is_that_of_robust_video_matting() -> None:
    # its formula for one pair, in float32 as there
    pred, alpha = (frames.float() / 255 for frames in clips(2, seed=0))
    theirs = (((pred[1] - pred[0]) - (alpha[1] - alpha[0])) ** 2).sum() / alpha[1].numel()
    assert dtssd(pred, alpha).item() * 100 == pytest.approx(theirs.sqrt().item() * 100, rel=1e-6)


# Values worked out by hand


def test_dtssd_by_hand() -> None:
    pred = video([[0.2, 0.4]], [[0.8, 0.4]], [[0.8, 0.4]])
    alpha = video([[0, 0]], [[0, 0.8]], [[0, 0.8]])
    # changes of the error: 0.6 and -0.8 in the first pair, none in the second
    assert dtssd(pred, alpha).item() == pytest.approx(math.sqrt((0.36 + 0.64) / 2) / 2, rel=1e-12)


def test_messddt_by_hand() -> None:
    pred = video([[0.2, 0.4, 0.6]], [[0.4, 0, 1]])
    still = torch.zeros(1, 2, 1, 3)
    # errors squared: 0.04, 0.16, 0.36 and then 0.16, 0, 1
    value = messddt(pred, torch.zeros_like(pred), still)
    assert value.item() == pytest.approx((0.12 + 0.16 + 0.64) / 3, rel=1e-6)
    moved = still.clone()
    moved[:, 0] = 0.5  # looked up: 0.2, 0.5; the third leaves the image
    value = messddt(pred, torch.zeros_like(pred), moved)
    assert value.item() == pytest.approx((0 + 0.09) / 2, rel=1e-6)


def test_flow_channels_are_x_then_y_towards_the_next_frame() -> None:
    pred = torch.zeros(2, 1, 7, 9)
    pred[0, 0, 3, 3] = pred[1, 0, 5, 4] = 1  # one to the right, two down
    flow = torch.zeros(1, 2, 7, 9)
    flow[:, 0], flow[:, 1] = 1, 2
    assert messddt(pred, torch.zeros_like(pred), flow) == 0
    assert messddt(pred, torch.zeros_like(pred), flow.flip(1)) > 0
    assert messddt(pred, torch.zeros_like(pred), -flow) > 0


def test_mask_belongs_to_the_earlier_frame() -> None:
    pred = video([[0, 0]], [[1, 0]], [[1, 0]])
    alpha, still = torch.zeros_like(pred), torch.zeros(2, 2, 1, 2)
    mask = torch.tensor([[True, False], [True, True], [False, False]]).reshape(3, 1, 1, 2)
    assert dtssd(pred, alpha, mask).item() == 0.5
    assert messddt(pred, alpha, still, mask).item() == 0.5


# Properties


def test_moving_error_with_its_true_flow_has_no_messddt_but_dtssd() -> None:
    wide, _ = clips(1, seed=1, width=40)
    steps = (0, 3, 5, 4)
    pred = torch.cat([wide[..., 10 - step : 30 - step] for step in steps])
    flow = torch.zeros(3, 2, 7, 20)
    flow[:, 0] = torch.tensor(steps).diff()[:, None, None]
    alpha = torch.full_like(pred, 100)
    assert messddt(pred, alpha, flow) == 0
    assert dtssd(pred, alpha) > 0.1


def test_constant_error_has_no_temporal_error() -> None:
    alpha = clips(4, seed=2)[1] // 2
    pred = alpha + 100
    assert dtssd(pred, alpha) == 0
    flow = flows(3, seed=2).round()  # between pixels the error is rounded
    assert messddt(pred, alpha, flow) == 0


def test_largest_values() -> None:
    pred = video([[1]], [[0]])
    assert dtssd(pred, 1 - pred) == 2
    assert messddt(pred, 0 * pred, torch.zeros(1, 2, 1, 1)) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_8_bit_values_as_floats_score_the_same(dtype: torch.dtype) -> None:
    pred, alpha = clips(4, seed=3)
    flow = flows(3, seed=3)
    scaled = pred.to(dtype) / 255, alpha.to(dtype) / 255
    assert torch.equal(dtssd(*scaled), dtssd(pred, alpha))
    assert torch.equal(messddt(*scaled, flow), messddt(pred, alpha, flow))


def test_a_clip_is_the_mean_of_its_pairs() -> None:
    (pred, alpha), flow = clips(4, seed=4), flows(3, seed=4)
    pairs = [
        clip_score(pred[t : t + 2], alpha[t : t + 2], flow[t : t + 1]).errors() for t in range(3)
    ]
    whole = clip_score(pred, alpha, flow).errors()
    torch.testing.assert_close(whole, torch.stack(pairs).mean(dim=0))
    assert whole.dtype == torch.float64


def test_pairs_without_a_pixel_are_left_out() -> None:
    (pred, alpha), flow = clips(3, seed=5), flows(2, seed=5)
    mask = torch.ones_like(pred, dtype=torch.bool)
    mask[0] = False
    flow[0] = NAN
    assert torch.equal(dtssd(pred, alpha, mask), dtssd(pred[1:], alpha[1:]))
    assert torch.equal(messddt(pred, alpha, flow), messddt(pred[1:], alpha[1:], flow[1:]))
    assert messddt(pred, alpha, torch.full_like(flow, 100)).isnan()
    assert dtssd(pred, alpha, torch.zeros_like(mask)).isnan()


def test_single_frame_is_undefined() -> None:
    pred, alpha = clips(1, seed=6)
    assert dtssd(pred, alpha).isnan()
    assert messddt(pred, alpha, flows(0, seed=6)).isnan()
    assert ClipScore(motion=True).errors().isnan().tolist() == [True, True]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    (pred, alpha), flow = clips(4, seed=7), flows(3, seed=7)
    errors = clip_score(pred.cuda(), alpha.cuda(), flow.cuda()).errors()
    assert errors.is_cuda
    torch.testing.assert_close(
        errors.cpu(), clip_score(pred, alpha, flow).errors(), rtol=1e-6, atol=0
    )


# Refused input


@pytest.mark.parametrize(
    "flow", [torch.zeros(3, 2, 7, 9), torch.zeros(2, 1, 7, 9), torch.zeros(2, 2, 7, 9).int()]
)
def test_refuses_a_flow_that_does_not_fit(flow: Tensor) -> None:
    with pytest.raises(ValueError, match=r"flow must be floats \(2, 2, 7, 9\), one motion per"):
        messddt(*clips(3, seed=0), flow)


def test_refuses_mattes_outside_the_unit_interval() -> None:
    pred, alpha = clips(2, seed=0)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got \["):
        dtssd(pred, alpha.float())
