"""The box blur against OpenCV's, picture by picture."""

import cv2
import numpy as np
import pytest
import torch

from mattingzoo.ops import box_blur

PICTURES = torch.rand(4, 3, 20, 31, generator=torch.Generator().manual_seed(0))


def test_inside_it_is_opencvs_of_each_pictures_own_size() -> None:
    radii = torch.tensor([1, 4, 0, 4])
    blurred = box_blur(PICTURES, radii)
    for one, result, r in zip(PICTURES, blurred, radii.tolist(), strict=True):
        theirs = cv2.blur(one.permute(1, 2, 0).numpy(), (2 * r + 1, 2 * r + 1))
        inside = np.s_[r : 20 - r, r : 31 - r]
        np.testing.assert_allclose(
            result.permute(1, 2, 0).numpy()[inside], theirs[inside], atol=1e-6
        )


def test_at_the_border_it_is_the_mean_of_what_there_is() -> None:
    blurred = box_blur(PICTURES, torch.full((4,), 2))
    torch.testing.assert_close(blurred[..., 0, 0], PICTURES[..., :3, :3].mean(dim=(-1, -2)))
    flat = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(box_blur(flat, torch.tensor([3])), flat)


def test_radius_0_changes_nothing_and_a_large_one_leaves_the_mean() -> None:
    assert torch.equal(box_blur(PICTURES, torch.zeros(4, dtype=torch.long)), PICTURES)
    means = PICTURES.mean(dim=(-1, -2), keepdim=True).expand_as(PICTURES)
    torch.testing.assert_close(box_blur(PICTURES, torch.full((4,), 40)), means)


@pytest.mark.parametrize("size", [(1, 1), (1, 7)])
def test_a_picture_of_one_row_will_do(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size)
    assert box_blur(picture, torch.tensor([2])).shape == picture.shape
