"""The optical flow between frames, and looking frames up along it."""

import pytest
import torch
from torch import Tensor

from mattingzoo.metrics.motion import farneback_flow, follow


def noise(length: int, height: int, width: int) -> Tensor:
    """Random 8-bit frames [T, 1, H, W]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (length, 1, height, width), generator=generator).byte()


def test_farneback_flow_finds_a_shift() -> None:
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    frames = [
        (0.5 + 0.25 * torch.sin((columns - dx) / 5) + 0.25 * torch.cos((rows - dy) / 7))[None]
        for dx, dy in ((0, 0), (2, 1), (1, 3))
    ]
    flow = farneback_flow(torch.stack(frames))
    assert flow.shape == (2, 2, 96, 128)
    assert flow.dtype == torch.float32
    inner = flow[:, :, 20:-20, 20:-20].mean(dim=(2, 3))
    torch.testing.assert_close(inner, torch.tensor([[2.0, 1], [-1, 2]]), atol=0.2, rtol=0)


def test_farneback_flow_of_grey_images_is_that_of_their_channel() -> None:
    frames = noise(3, 40, 50)
    assert torch.equal(farneback_flow(frames.expand(-1, 3, -1, -1)), farneback_flow(frames))
    assert torch.equal(farneback_flow(frames / 255), farneback_flow(frames))


def test_farneback_flow_weighs_colours_as_red_green_blue() -> None:
    columns = torch.arange(96.0).expand(96, 96)
    red = torch.stack([0.5 + 0.5 * torch.sin((columns - shift) / 5) for shift in (0, 2)])
    green, blue = 0.2 * red.flip(2), 0.5 + 0.5 * torch.cos(columns.t() / 6).expand(2, -1, -1)
    colours = torch.stack([red, green, blue], dim=1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    difference = (farneback_flow(colours) - farneback_flow(grey[:, None])).abs().mean()
    swapped = (farneback_flow(colours.flip(1)) - farneback_flow(grey[:, None])).abs().mean()
    assert difference < 0.05 < 0.3 < swapped


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (33, 5)])
def test_farneback_flow_of_small_frames(shape: tuple[int, int]) -> None:
    frames = noise(2, *shape)
    assert farneback_flow(frames).shape == (1, 2, *shape)
    assert farneback_flow(frames[:1]).shape == (0, 2, *shape)


def test_following_is_exact_for_whole_numbers() -> None:
    image = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(2, 5, 6)
    flow[0], flow[1] = -2, 1
    values, inside = follow(image, flow)
    assert torch.equal(values[:-1, 2:], image[1:, :-2])
    assert inside.sum() == 4 * 4
    assert inside[:-1, 2:].all()


@pytest.mark.parametrize("shape", [(2, 2, 5, 5), (2, 5, 5), (0, 1, 5, 5)])
def test_refuses_frames_that_are_neither_images_nor_mattes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"frames must be \[T, 1, H, W\] or \[T, 3, .* got shape"):
        farneback_flow(torch.zeros(shape))


def test_refuses_frames_outside_the_unit_interval() -> None:
    with pytest.raises(ValueError, match=r"frames must lie in \[0, 1\], got \[255, 255\]"):
        farneback_flow(torch.full((2, 3, 5, 5), 255.0))
