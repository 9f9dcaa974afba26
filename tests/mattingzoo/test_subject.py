"""The released protocol: a box around the subject, its own size, the largest part."""

import numpy as np
import pytest
from lightning.fabric import Fabric
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.io import Picture
from mattingzoo.module import MattingModule
from mattingzoo.subject import Box, box_around, keep_largest, predict_in_box

FABRIC = Fabric(accelerator="cpu", devices=1)


class Echo(MattingModule):
    """The segmentation as matte, the image's negative as colours; notes the size it is given."""

    inputs = ("image", "captured_background", "segmentation", "motion")
    extras = ("foreground", "plane")

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, batch: Batch) -> Tensor:
        return self.forward_with_extras(batch)[0]

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        self.shapes += [tuple(batch[k].shape[1:]) for k in self.inputs]  # type: ignore[literal-required]
        matte = batch["segmentation"]
        return matte, {"foreground": 1 - batch["image"], "plane": matte}

    def training_keys(self) -> tuple[str, ...]:
        return ()

    def configure_optimizers(self) -> None:
        return None


def mask(top: int, left: int, bottom: int, right: int) -> Picture:
    picture = np.zeros((200, 300), np.uint8)
    picture[top:bottom, left:right] = 255
    return picture


def guides(segmentation: Picture) -> dict[str, Picture]:
    height, width = segmentation.shape
    return {
        "segmentation": segmentation,
        "captured_background": np.zeros((height, width, 3), np.uint8),
        "motion": np.zeros((height, width, 4), np.uint8),
    }


@pytest.mark.parametrize(
    ("subject", "box"),
    [
        # 100 high, 40 wide: a square of 120 about its centre.
        ((50, 130, 150, 170), (40, 90, 160, 210)),
        # At a corner it is clipped.
        ((150, 250, 200, 300), (145, 245, 200, 300)),
    ],
)
def test_box_is_a_square_a_tenth_larger_all_around(
    subject: tuple[int, ...], box: tuple[int, ...]
) -> None:
    assert box_around(mask(*subject)) == box  # type: ignore[arg-type]


def test_matte_has_the_pictures_size_and_is_empty_beyond_the_box() -> None:
    model, segmentation = Echo(), mask(50, 130, 150, 170)
    image = np.full((200, 300, 3), 100, np.uint8)
    matte, extras = predict_in_box(model, FABRIC, image, guides(segmentation), size=64)
    assert model.shapes == [(3, 64, 64), (3, 64, 64), (1, 64, 64), (4, 64, 64)]
    assert matte.shape == (200, 300)
    inside = np.zeros((200, 300), bool)
    inside[40:160, 90:210] = True
    assert not matte[~inside].any() and not extras["plane"][~inside].any()
    assert ((matte > 127) == (segmentation > 127)).mean() > 0.99
    assert (extras["foreground"][inside] == 155).all()
    assert (extras["foreground"][~inside] == 100).all()


def test_without_a_subject_nothing_is_opaque() -> None:
    model = Echo()
    image = np.full((200, 300, 3), 100, np.uint8)
    matte, extras = predict_in_box(model, FABRIC, image, guides(mask(0, 0, 0, 0)), size=64)
    assert matte.shape == (200, 300) and not matte.any()
    assert extras == {} and model.shapes == []


def test_a_segmentation_is_made_of_the_background_if_need_be() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    plate = image.copy()
    image[50:150, 130:170] = 250
    given = {"captured_background": plate}
    matte, _ = predict_in_box(Echo(), FABRIC, image, given, size=64)
    assert matte[100, 150] == 255 and not matte[:30].any()
    with pytest.raises(ValueError, match="a box needs a segmentation or a captured background"):
        predict_in_box(Echo(), FABRIC, image, {}, size=64)


def test_a_box_of_the_working_size_changes_no_pixel() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(256, size=(100, 120), dtype=np.uint8)
    box = Box(10, 20, 74, 84)
    square = box.cut(picture, 64)
    np.testing.assert_array_equal(square, picture[10:74, 20:84])
    np.testing.assert_array_equal(box.paste(square, np.zeros_like(picture))[10:74, 20:84], square)


def test_the_largest_parts_are_kept() -> None:
    matte = mask(10, 10, 60, 60) + mask(100, 100, 130, 140) + mask(180, 280, 185, 285)
    matte[60:65, 10:60] = 40  # the soft rim of the first
    matte[0, 299] = 10  # too faint to be a part
    largest = keep_largest(matte, 1)
    np.testing.assert_array_equal(largest[:70, :70], matte[:70, :70])
    assert not largest[70:].any() and largest[0, 299] == 0
    two = keep_largest(matte, 2)
    assert two[110, 120] == 255 and two[182, 282] == 0
    assert (keep_largest(matte, 9) > 0).sum() == (matte > 12).sum()
    assert not keep_largest(np.zeros((5, 5), np.uint8), 1).any()
