"""Boxes that hold their subject, clicks that lie where they should."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mattingzoo.ops import box_from_alpha, points_from_alpha


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matte_with(box: tuple[int, int, int, int], height: int = 20, width: int = 30) -> Tensor:
    x0, y0, x1, y1 = box
    alpha = torch.zeros(1, 1, height, width)
    alpha[..., y0:y1, x0:x1] = 1 / 255
    return alpha


@pytest.mark.parametrize("box", [(4, 5, 17, 9), (0, 0, 30, 20), (29, 19, 30, 20), (0, 7, 1, 8)])
def test_box_without_jitter_is_tight(box: tuple[int, int, int, int]) -> None:
    assert box_from_alpha(matte_with(box), 0, seeded()).tolist() == [list(box)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_jittered_box_stays_inside_and_is_never_inverted(data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, 29)), data.draw(st.integers(0, 19))
    x1, y1 = data.draw(st.integers(x0 + 1, 30)), data.draw(st.integers(y0 + 1, 20))
    jitter, seed = data.draw(st.floats(0, 3)), data.draw(st.integers(0, 99))
    box = box_from_alpha(matte_with((x0, y0, x1, y1)), jitter, seeded(seed))[0]
    left, top, right, bottom = box.tolist()
    assert 0 <= left < right <= 30 and 0 <= top < bottom <= 20
    assert torch.equal(box, box.round())


def test_jitter_is_a_share_of_the_box() -> None:
    alpha = matte_with((10, 5, 20, 15)).expand(200, -1, -1, -1)
    boxes = box_from_alpha(alpha, 0.1, seeded())
    shift = boxes - torch.tensor([10.0, 5, 20, 15])
    assert shift.abs().max() == 1 and shift.unique().tolist() == [-1, 0, 1]


def test_empty_matte_has_an_empty_box() -> None:
    alpha = torch.cat([torch.zeros(1, 1, 20, 30), matte_with((4, 5, 17, 9))])
    assert box_from_alpha(alpha, 0, seeded()).tolist() == [[0, 0, 0, 0], [4, 5, 17, 9]]


def test_what_rounds_to_nothing_at_8_bits_is_not_covered() -> None:
    assert box_from_alpha(torch.full((1, 1, 4, 4), 0.4 / 255), 0, seeded()).sum() == 0


def test_clicks_lie_on_allowed_pixels() -> None:
    generator = seeded()
    alpha = torch.rand(8, 1, 13, 17, generator=generator)
    points = points_from_alpha(alpha, 5, 4, generator)
    assert points.shape == (8, 9, 3)
    for matte, clicks in zip(alpha[:, 0], points.long(), strict=True):
        x, y, label = clicks.unbind(dim=-1)
        assert label.tolist() == [1] * 5 + [0] * 4
        assert (matte[y[:5], x[:5]] > 0.95).all()
        assert (matte[y[5:], x[5:]] < 0.05).all()


def test_clicks_fall_on_every_allowed_pixel_alike() -> None:
    alpha = torch.full((1, 1, 4, 4), 0.5)
    alpha[0, 0, 0, 0] = alpha[0, 0, 1, 2] = alpha[0, 0, 3, 3] = 1
    points = points_from_alpha(alpha, 3000, 0, seeded())[0, :, :2]
    spots, counts = points.unique(dim=0, return_counts=True)
    assert spots.tolist() == [[0, 0], [2, 1], [3, 3]]
    assert counts.min() > 900


@pytest.mark.parametrize(
    ("value", "labels"), [(1.0, [1, 1, -1]), (0.0, [-1, -1, 0]), (0.5, [-1] * 3)]
)
def test_impossible_clicks_are_padding(value: float, labels: list[int]) -> None:
    points = points_from_alpha(torch.full((1, 1, 3, 5), value), 2, 1, seeded())[0]
    assert points[:, 2].tolist() == labels
    assert points[points[:, 2] < 0].tolist() == [[0, 0, -1]] * labels.count(-1)


def test_prompts_of_one_pixel() -> None:
    alpha = torch.ones(1, 1, 1, 1)
    assert box_from_alpha(alpha, 0.5, seeded()).tolist() == [[0, 0, 1, 1]]
    assert points_from_alpha(alpha, 1, 0, seeded()).tolist() == [[[0, 0, 1]]]


def test_same_seed_same_prompts() -> None:
    alpha = torch.rand(3, 1, 9, 9, generator=seeded())
    for make in (
        lambda g: box_from_alpha(alpha, 0.5, g),
        lambda g: points_from_alpha(alpha, 2, 2, g),
    ):
        assert torch.equal(make(seeded(1)), make(seeded(1)))
