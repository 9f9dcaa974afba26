"""Panels: rounding, sizes, and where the colours go."""

import numpy as np
import pytest
import torch

from mattingzoo.batch import Batch
from mattingzoo.pictures import heat, panel, resize, to_bytes


def shown(height: int, width: int) -> Batch:
    return {
        "image": torch.full((2, 3, height, width), 0.25),
        "alpha": torch.ones(2, 1, height, width),
        "trimap": torch.full((2, 1, height, width), 0.5),
    }


def test_bytes_are_rounded_and_clipped() -> None:
    picture = torch.tensor([-1.0, 0.499 / 255, 0.501 / 255, 1.0, 2.0]).view(1, 1, 5)
    assert to_bytes(picture).tolist() == [[0, 0, 1, 255, 255]]


def test_every_8_bit_value_survives() -> None:
    values = torch.arange(256).view(1, 16, 16)
    assert np.array_equal(to_bytes(values / 255), values[0].numpy())


def test_colours_end_last() -> None:
    assert to_bytes(torch.rand(3, 4, 5)).shape == (4, 5, 3)


def test_half_precision_is_shown() -> None:
    assert to_bytes(torch.ones(1, 2, 2, dtype=torch.bfloat16)).min() == 255


@pytest.mark.parametrize(("height", "width"), [(10, 20), (33, 7), (1, 1), (1, 50)])
def test_panel_has_the_height_asked_for_and_six_pictures(height: int, width: int) -> None:
    row = panel(shown(height, width), torch.zeros(2, 1, height, width), 16)
    each = max(round(width * 16 / height), 1) + 4
    assert row.shape == (16, 6 * each, 3)
    assert row.dtype == np.uint8


def test_panel_shows_image_trimap_prediction_truth_error_and_cut_out() -> None:
    row = panel(shown(8, 8), torch.zeros(2, 1, 8, 8), 8)
    middles = [row[4, 12 * i + 4].tolist() for i in range(6)]
    gray, white, black = [64] * 3, [255] * 3, [0] * 3
    assert middles == [gray, [128] * 3, black, white, white, [26, 178, 76]]


def test_cut_out_takes_the_foreground_where_there_is_one() -> None:
    batch = shown(8, 8)
    batch["foreground"] = torch.zeros(2, 3, 8, 8)
    row = panel(batch, torch.ones(2, 1, 8, 8), 8)
    assert row[4, -8].tolist() == [0, 0, 0]


def test_heat_runs_from_black_over_red_and_yellow_to_white() -> None:
    colours = heat(torch.tensor([0, 1 / 3, 2 / 3, 1]).view(1, 1, 4))[:, 0].T
    expected = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    torch.testing.assert_close(colours, expected)


def test_resizing_adds_a_dark_line() -> None:
    bright = np.full((4, 6, 3), 200, np.uint8)
    row = resize(bright, 8)
    assert row.shape == (8, 16, 3)
    assert row[:, :12].min() == 200 and row[:, 12:].max() == 0
