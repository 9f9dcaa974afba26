"""Background Matting's losses against the released code's definitions, and its composites."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.models.background_matting.losses import (
    distilled_terms,
    least_squares,
    opaque_from_image,
    sobel_l1,
    summed_l1,
    supervised_terms,
    supervision_weight,
)
from mattingzoo.models.background_matting.network import BackgroundMattingOutput
from mattingzoo.models.background_matting.recompose import exchanged, shift_subject, signed


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed))


def n1(x: Tensor, y: Tensor, m: Tensor) -> Tensor:
    """The released L1, sample by sample, of tensors in [-1, 1]."""
    total = torch.tensor(0.0)
    for a, b, mask in zip(x, y, m, strict=True):
        if mask.sum() > 0:
            total += (a * mask - b * mask).abs().sum() / (mask.sum() + 1e-6)
    return total / len(x)


def sobel(x: Tensor, y: Tensor, mode: str) -> Tensor:
    """The released Sobel term, of mattes in [-1, 1]."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    total = torch.tensor(0.0)
    for k in (kernel, kernel.T):
        gx, gy = (F.conv2d(F.pad(t, (1, 1, 1, 1), mode=mode), k.view(1, 1, 3, 3)) for t in (x, y))
        total += n1(gx, gy, torch.ones_like(gx))
    return total


def test_error_of_mattes_is_twice_the_mean() -> None:
    pred, truth = noise(2, 2, 1, 6, 7)
    expected = (signed(pred) - signed(truth)).abs().mean()
    torch.testing.assert_close(summed_l1(pred, truth), expected)
    torch.testing.assert_close(expected, 2 * (pred - truth).abs().mean())


def test_error_of_colours_is_added_over_channels() -> None:
    pred, truth = noise(2, 2, 3, 6, 7)
    expected = 3 * (signed(pred) - signed(truth)).abs().mean()
    torch.testing.assert_close(summed_l1(pred, truth), expected)
    everywhere = torch.ones(2, 1, 6, 7, dtype=torch.bool)
    torch.testing.assert_close(summed_l1(pred, truth, everywhere), expected)


def test_masked_error_is_the_released_one_also_of_a_sample_without_mask() -> None:
    pred, truth = noise(2, 3, 3, 6, 7)
    mask = noise(3, 1, 6, 7, seed=1) > 0.6
    mask[1] = False
    expected = n1(signed(pred), signed(truth), mask.float())
    torch.testing.assert_close(summed_l1(pred, truth, mask), expected)
    assert summed_l1(pred, truth, mask & False) == 0


@pytest.mark.parametrize(("zero_padding", "mode"), [(False, "replicate"), (True, "constant")])
def test_gradient_term_is_the_released_one(zero_padding: bool, mode: str) -> None:
    pred, truth = noise(2, 2, 1, 9, 8)
    expected = sobel(signed(pred), signed(truth), mode)
    torch.testing.assert_close(sobel_l1(pred, truth, zero_padding), expected)


def test_border_has_a_gradient_only_as_released() -> None:
    """A constant error has none, unless what lies outside is taken to be one half."""
    pred, truth = torch.full((1, 1, 8, 8), 0.9), torch.zeros(1, 1, 8, 8)
    assert sobel_l1(pred, truth) == 0
    assert sobel_l1(pred, truth, zero_padding=True) > 1


def composed(count: int = 2) -> tuple[Batch, BackgroundMattingOutput]:
    """Exact composites, and the truth as a prediction."""
    foreground, background = noise(2, count, 3, 8, 8)
    alpha = 0.97 * noise(count, 1, 8, 8, seed=2)  # above 0.975 the image takes the colour's place
    alpha[:, :, :2], alpha[:, :, 6:] = 0, 1
    batch = Batch(
        image=alpha * foreground + (1 - alpha) * background,
        alpha=alpha,
        foreground=foreground,
        background=background,
        captured_background=(background + 0.1).clamp(0, 1),
        segmentation=(alpha > 0.5).float(),
    )
    return batch, BackgroundMattingOutput(alpha, foreground)


def test_terms_of_stage_1_are_0_at_the_truth() -> None:
    batch, truth = composed()
    terms = supervised_terms(truth, batch)
    assert set(terms) == {"alpha", "gradient", "foreground", "composition"}
    for name, value in terms.items():
        torch.testing.assert_close(value, torch.tensor(0.0), rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("legacy", [False, True])
def test_terms_of_stage_1_are_those_of_the_released_script(legacy: bool) -> None:
    batch, _ = composed()
    output = BackgroundMattingOutput(noise(2, 1, 8, 8, seed=3), 1.4 * noise(2, 3, 8, 8, seed=4))
    output.alpha[:, :, 3] = 0.99
    terms = supervised_terms(output, batch, zero_padding=legacy)
    a, f = signed(output.alpha), signed(output.foreground)
    truth, image = signed(batch["alpha"]), signed(batch["image"])
    ones = torch.ones_like(a)
    mixed = torch.where(a > 0.95, image, f)
    again = (a + 1) / 2 * mixed + (1 - (a + 1) / 2) * signed(batch["background"])
    expected = {
        "alpha": n1(truth, a, ones),
        "gradient": sobel(truth, a, "constant" if legacy else "replicate"),
        "foreground": 2 * n1(signed(batch["foreground"]), f, (truth > -0.99).float()),
        "composition": n1(image, again, ones),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)


def test_terms_of_stage_2_are_those_of_the_released_script() -> None:
    batch, taught = composed()
    output = BackgroundMattingOutput(noise(2, 1, 8, 8, seed=3), 1.4 * noise(2, 3, 8, 8, seed=4))
    terms = distilled_terms(output, taught, batch, zero_padding=True)
    a, f = signed(output.alpha), signed(output.foreground)
    truth, image = signed(taught.alpha), signed(batch["image"])
    again = (a + 1) / 2 * f + (1 - (a + 1) / 2) * signed(batch["captured_background"])
    expected = {
        "alpha": n1(truth, a, torch.ones_like(a)),
        "gradient": 0.5 * sobel(truth, a, "constant"),
        "foreground": n1(signed(taught.foreground), f, (truth > -0.98).float()),
        "composition": n1(image, again, (signed(batch["segmentation"]) > 0.95).float()),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)


def test_foreground_is_the_image_where_the_matte_is_opaque() -> None:
    alpha = torch.tensor([0.97, 0.974, 0.976, 1.0]).view(1, 1, 1, 4)
    image, colour = torch.ones(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)
    mixed = opaque_from_image(BackgroundMattingOutput(alpha, colour), image)
    assert mixed[0, 0, 0].tolist() == [0, 0, 1, 1]


def test_least_squares_of_an_empty_map() -> None:
    assert least_squares(torch.zeros(2, 1, 5, 5), 1) == 1
    assert least_squares(torch.zeros(2, 1, 5, 5), 0) == 0
    assert least_squares(torch.full((1, 1, 2, 2), 3.0), 1) == 4


def test_supervision_halves_as_in_the_released_script() -> None:
    assert [supervision_weight(e, 1.0, 2) for e in range(6)] == [1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert [supervision_weight(e, 0.05, 1) for e in range(3)] == [0.05, 0.025, 0.0125]
    assert [supervision_weight(e, 1.0, 3) for e in range(5)] == [1, 0.5, 0.5, 0.5, 0.25]


def person(left: int, right: int, width: int = 12) -> Tensor:
    mask = torch.zeros(1, 1, 4, width)
    mask[..., left:right] = 1
    return mask


def test_shifted_subject_stays_whole_and_gets_everywhere() -> None:
    mask, places = person(3, 6), set()
    marked = mask * torch.arange(12.0)
    for seed in range(100):
        colour, alpha = shift_subject(marked.expand(-1, 3, -1, -1), mask, mask, seeded(seed))
        (columns,) = torch.nonzero(alpha[0, 0, 0], as_tuple=True)
        first = int(columns[0])
        assert columns.tolist() == [first, first + 1, first + 2]
        assert colour[0, 1, 2, columns].tolist() == [3, 4, 5]
        places.add(first)
    assert places == set(range(10))


@pytest.mark.parametrize("mask", [person(0, 12), person(0, 1) + person(11, 12)])
def test_subject_that_spans_the_width_stays(mask: Tensor) -> None:
    colour, alpha = noise(1, 3, 4, 12), noise(1, 1, 4, 12, seed=1)
    for seed in range(5):
        moved = shift_subject(colour, alpha, mask, seeded(seed))
        assert torch.equal(moved[0], colour) and torch.equal(moved[1], alpha)


def test_picture_without_a_subject_stays() -> None:
    colour, alpha = noise(1, 3, 4, 12), noise(1, 1, 4, 12, seed=1)
    moved = shift_subject(colour, alpha, person(0, 0), seeded())
    assert torch.equal(moved[0], colour) and torch.equal(moved[1], alpha)


def test_samples_are_shifted_one_by_one() -> None:
    mask = torch.cat([person(1, 3)] * 8)
    alpha = shift_subject(noise(8, 3, 4, 12), mask, mask, seeded())[1]
    assert len({tuple(row) for row in alpha[:, 0, 0].tolist()}) > 3


def test_nobody_keeps_their_background_but_who_is_alone() -> None:
    backgrounds = noise(4, 3, 2, 2)
    for seed in range(8):
        others = exchanged(backgrounds, seeded(seed))
        assert not any(torch.equal(a, b) for a, b in zip(others, backgrounds, strict=True))
    assert torch.equal(exchanged(backgrounds[:1], seeded()), backgrounds[:1])
