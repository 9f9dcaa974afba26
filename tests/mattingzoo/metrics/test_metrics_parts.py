"""SAD, MSE and MAD over transition, foreground and background."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mattingzoo.metrics import mad, mse, sad
from mattingzoo.metrics.parts import PART_NAMES, PartMetrics, part_scores

NAN = float("nan")


def row(*values: int) -> Tensor:
    """A matte of a single row, 8 bits."""
    return torch.tensor(values, dtype=torch.uint8).reshape(1, 1, 1, -1)


def images(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random 8-bit prediction, truth and trimap, all three parts in every image."""
    generator = torch.Generator().manual_seed(seed)
    pred, alpha = torch.randint(
        256, (2, count, 1, 7, 9), generator=generator, dtype=torch.uint8
    ).unbind()
    known = torch.tensor([0, 128, 255], dtype=torch.uint8)
    trimap = known[torch.randint(3, pred.shape, generator=generator)]
    trimap[..., 0, :3] = known
    return pred, alpha, trimap


def slow_scores(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """The definition, pixel by pixel, in exact fractions."""
    pixels = np.stack([pred.ravel(), alpha.ravel(), trimap.ravel()], axis=1).tolist()
    errors: dict[str, list[Fraction]] = {"T": [], "FG": [], "BG": []}
    for p, a, t in pixels:
        fixed = t if t in (0, 255) else p
        errors["T"].append(Fraction(fixed - a, 255))
        if t in (0, 255):
            errors["FG" if t else "BG"].append(Fraction(p - a, 255))
    unknown = sum(t == 128 for _, _, t in pixels)
    between = sum(t not in (0, 255) for _, _, t in pixels)
    counts = {"T": unknown or between, "FG": len(errors["FG"]), "BG": len(errors["BG"])}
    scores = {}
    for part, terms in errors.items():
        absolute, squared = sum(map(abs, terms)), sum(e * e for e in terms)
        scores[f"SAD-{part}"] = float(absolute / 1000)
        scores[f"MSE-{part}"] = float(squared / counts[part]) if counts[part] else NAN
        scores[f"MAD-{part}"] = float(absolute / counts[part]) if counts[part] else NAN
    return scores


@st.composite
def triples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    trimap = draw(st.lists(st.sampled_from([0, 1, 127, 128, 254, 255]), min_size=1, max_size=4))
    mattes = [draw(arrays(np.uint8, shape)) for _ in range(2)]
    return mattes[0], mattes[1], draw(arrays(np.uint8, shape, elements=st.sampled_from(trimap)))


@settings(deadline=None)
@given(triples())
def test_equals_the_slow_reference(triple: tuple[np.ndarray, ...]) -> None:
    scores = part_scores(*(torch.from_numpy(array)[None, None] for array in triple))
    expected = slow_scores(*triple)
    assert list(scores) == list(PART_NAMES)
    for name, score in scores.items():
        assert score.item() == pytest.approx(expected[name], rel=1e-14, abs=0, nan_ok=True)


# Values worked out by hand


def test_transition_overwrites_the_known_pixels_and_sums_the_whole_image() -> None:
    pred, alpha, trimap = row(55, 200, 100, 0), row(51, 255, 151, 255), row(0, 255, 128, 128)
    scores = part_scores(pred, alpha, trimap)
    # overwritten: 0, 255, 100, 0; differences: 51, 0, 51, 255 of 255; two unknown pixels
    assert scores["SAD-T"].item() == (51 + 51 + 255) / 255_000
    assert scores["MAD-T"].item() == (51 + 51 + 255) / 255 / 2
    assert scores["MSE-T"].item() == pytest.approx((0.04 + 0.04 + 1) / 2, rel=1e-15)


def test_foreground_and_background_score_the_raw_prediction() -> None:
    pred, alpha, trimap = row(51, 0, 204, 255, 9), row(0, 0, 255, 255, 99), row(0, 0, 255, 255, 128)
    scores = part_scores(pred, alpha, trimap)
    assert scores["SAD-BG"].item() == scores["SAD-FG"].item() == 51 / 255_000
    assert scores["MAD-BG"].item() == scores["MAD-FG"].item() == 0.1
    assert scores["MSE-BG"].item() == scores["MSE-FG"].item() == pytest.approx(0.02, rel=1e-15)


def test_only_128_is_counted_as_unknown() -> None:
    pred, alpha, trimap = row(255, 255, 255), row(0, 0, 0), row(127, 128, 129)
    scores = part_scores(pred, alpha, trimap)
    assert scores["SAD-T"].item() == 3 / 1000
    assert scores["MAD-T"].item() == 3


def test_without_unknown_pixels_divides_by_those_of_odd_values() -> None:
    scores = part_scores(row(255, 255, 0, 0), row(0, 0, 0, 0), row(127, 129, 0, 0))
    assert scores["MAD-T"].item() == scores["MSE-T"].item() == 1


@pytest.mark.parametrize("truth", [0, 100])
def test_without_pixels_to_divide_by_the_transition_means_are_undefined(truth: int) -> None:
    scores = part_scores(row(0, 0), row(0, truth), row(0, 0))
    assert scores["SAD-T"].item() == truth / 255_000
    assert scores["MSE-T"].isnan()
    assert scores["MAD-T"].isnan()


def test_empty_parts_sum_to_zero_and_have_no_mean() -> None:
    scores = part_scores(row(5, 6), row(200, 100), row(128, 128))
    assert scores["SAD-FG"] == scores["SAD-BG"] == 0
    assert all(scores[f"{name}-{part}"].isnan() for name in ("MSE", "MAD") for part in ("FG", "BG"))


def test_sums_of_large_images_are_exact() -> None:
    generator = torch.Generator().manual_seed(1)
    pred, alpha = torch.randint(256, (2, 1, 1, 600, 601), generator=generator).byte().unbind()
    error = pred.numpy().astype(np.int64) - alpha.numpy()
    scores = part_scores(pred, alpha, torch.full_like(pred, 128))
    assert scores["SAD-T"].item() == int(np.abs(error).sum()) / 255_000
    assert scores["MSE-T"].item() == int((error**2).sum()) / (65025 * 600 * 601)


# Properties


def test_parts_equal_the_masked_scores() -> None:
    pred, alpha, trimap = images(3, seed=0)
    scores = part_scores(pred, alpha, trimap)
    for part, value in {"FG": 255, "BG": 0}.items():
        for name, metric in {"SAD": sad, "MSE": mse, "MAD": mad}.items():
            assert torch.equal(scores[f"{name}-{part}"], metric(pred, alpha, trimap == value))


def test_transition_equals_the_unknown_region_if_the_truth_agrees_with_the_trimap() -> None:
    pred, alpha, trimap = images(3, seed=1)
    alpha = torch.where(trimap == 128, alpha, trimap)
    scores = part_scores(pred, alpha, trimap)
    for name, metric in {"SAD": sad, "MSE": mse, "MAD": mad}.items():
        assert torch.equal(scores[f"{name}-T"], metric(pred, alpha, trimap == 128))


def test_batch_equals_one_by_one() -> None:
    batch = images(3, seed=3)
    copies = [tensor.clone() for tensor in batch]
    whole = part_scores(*batch)
    singly = [part_scores(*(tensor[i : i + 1] for tensor in batch)) for i in range(3)]
    for name in PART_NAMES:
        assert torch.equal(whole[name], torch.cat([scores[name] for scores in singly]))
        assert whole[name].dtype == torch.float64
    assert all(map(torch.equal, batch, copies))  # inputs are left alone


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_8_bit_values_as_floats_score_the_same(dtype: torch.dtype) -> None:
    pred, alpha, trimap = images(2, seed=4)
    unit = torch.where(trimap == 128, 0.5, trimap.to(dtype) / 255)
    expected = part_scores(pred, alpha, trimap)
    scores = part_scores(pred.to(dtype) / 255, alpha.to(dtype) / 255, unit.to(dtype))
    assert all(torch.equal(scores[name], expected[name]) for name in PART_NAMES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    batch = images(2, seed=6)
    scores = part_scores(*(tensor.cuda() for tensor in batch))
    expected = part_scores(*batch)
    assert all(scores[name].is_cuda for name in PART_NAMES)
    assert all(torch.equal(scores[name].cpu(), expected[name]) for name in PART_NAMES)


# The torchmetrics class


def test_mean_is_over_images_not_batches() -> None:
    metrics, first, second = PartMetrics(), images(3, seed=0), images(1, seed=1)
    metrics.update(*first)
    metrics.update(*second)
    means = metrics.compute()
    assert tuple(means) == PART_NAMES
    for name, mean in means.items():
        errors = torch.cat([part_scores(*first)[name], part_scores(*second)[name]])
        torch.testing.assert_close(mean, errors.mean())


def test_an_image_with_an_index_counts_once() -> None:
    metrics, batch = PartMetrics(), images(3, seed=0)
    metrics.update(*batch, torch.arange(3))
    once = metrics.compute()
    metrics.update(*(tensor[:1] for tensor in batch), torch.zeros(1, dtype=torch.int64))
    assert metrics.compute() == once


def test_images_without_a_part_are_left_out_and_named() -> None:
    metrics, (pred, alpha, trimap) = PartMetrics(), images(2, seed=0)
    trimap[1] = 128
    metrics.update(pred, alpha, trimap)
    with pytest.warns(UserWarning, match=r"MSE-FG of 1 of 2, MAD-FG of 1 of 2, MSE-BG of 1 of 2"):
        means = metrics.compute()
    scores = part_scores(pred, alpha, trimap)
    assert means["MSE-FG"] == scores["MSE-FG"][0]
    assert means["SAD-FG"] == scores["SAD-FG"].mean()


def test_reset_forgets() -> None:
    metrics = PartMetrics()
    metrics.update(*images(2, seed=0))
    metrics.reset()
    metrics.update(*images(1, seed=1))
    expected = part_scores(*images(1, seed=1))
    assert all(mean == expected[name] for name, mean in metrics.compute().items())


def test_persistent_state_goes_on() -> None:
    metrics, copy = PartMetrics(), PartMetrics()
    for metric in (metrics, copy):
        metric.persistent(True)
    metrics.update(*images(2, seed=0))
    copy.load_state_dict(metrics.state_dict())
    for metric in (metrics, copy):
        metric.update(*images(1, seed=1))
    assert copy.compute() == metrics.compute()


# Refused input


@pytest.mark.parametrize(
    ("trimap", "message"),
    [
        (row(128) / 255, r"trimap must be in \{0, 0\.5, 1\}, got 0\.501961"),
        (row(128, 128), r"pred \(1, 1, 1, 1\), trimap \(1, 1, 1, 2\)"),
        (row(128).long(), r"trimap must be uint8 or floats .* got torch\.int64"),
    ],
)
def test_refuses_other_trimaps(trimap: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part_scores(row(0), row(0), trimap)


def test_refuses_mattes_outside_the_unit_interval() -> None:
    with pytest.raises(ValueError, match=r"pred must lie in \[0, 1\], got \[255, 255\]"):
        part_scores(row(255).float(), row(0), row(128))
