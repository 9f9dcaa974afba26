"""Prediction as the authors test: what is cut out, what comes back, which pieces are kept."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.models import BackgroundMatting
from mattingzoo.models.background_matting.closeup import (
    Box,
    keep_largest,
    predict_closeup,
    surroundings,
)
from mattingzoo.models.background_matting.network import BackgroundMattingOutput


def subject(top: int, bottom: int, left: int, right: int, size: tuple[int, int]) -> Tensor:
    segmentation = torch.zeros(size)
    segmentation[top:bottom, left:right] = 0.3
    return segmentation


def pictures(segmentation: Tensor) -> Batch:
    height, width = segmentation.shape
    rng = torch.Generator().manual_seed(0)
    image, background = torch.rand(2, 1, 3, height, width, generator=rng)
    motion = torch.rand(1, 4, height, width, generator=rng)
    return Batch(
        image=image,
        captured_background=background,
        segmentation=segmentation[None, None],
        motion=motion,
    )


def test_surroundings_are_a_square_from_the_subject_s_corner() -> None:
    # 30 rows and 10 columns: 3 pixels of margin, 30 + 3 pixels from the corner on.
    assert surroundings(subject(20, 50, 40, 50, (90, 100))) == Box(17, 53, 37, 73)


def test_surroundings_end_where_the_picture_does() -> None:
    assert surroundings(subject(0, 50, 40, 50, (52, 60))) == Box(0, 52, 35, 60)


def test_without_a_subject_the_whole_picture_is_surroundings() -> None:
    assert surroundings(torch.full((7, 9), 0.1)) == Box(0, 7, 0, 9)


def stand_in(alpha: Callable[[Tensor], Tensor], seen: list[tuple[Tensor, ...]]) -> Any:
    """A network that answers by the image, and keeps what it was shown."""

    def network(*cut: Tensor) -> BackgroundMattingOutput:
        seen.append(cut)
        return BackgroundMattingOutput(alpha(cut[0]), cut[0] / 2)

    return network


def test_the_network_sees_squares_and_the_matte_has_the_picture_s_size() -> None:
    batch, seen = pictures(subject(20, 50, 40, 50, (90, 100))), []
    output = predict_closeup(stand_in(lambda x: torch.ones_like(x[:, :1]), seen), batch, 24)
    assert [picture.shape for picture in seen[0]] == [(1, c, 24, 24) for c in (3, 3, 1, 4)]
    assert output.alpha.shape == (1, 1, 90, 100)
    inside = torch.zeros(1, 1, 90, 100, dtype=torch.bool)
    inside[..., 17:53, 37:73] = True
    assert (output.alpha[inside] == 1).all() and (output.alpha[~inside] == 0).all()
    outside = ~inside.expand(1, 3, -1, -1)
    assert torch.equal(output.foreground[outside], batch["image"][outside])
    mean = output.foreground[..., 17:53, 37:73].mean() / batch["image"][..., 17:53, 37:73].mean()
    assert mean.item() == pytest.approx(0.5, abs=0.01)


def test_surroundings_of_the_working_size_are_not_resampled() -> None:
    batch, seen = pictures(subject(20, 50, 40, 50, (90, 100))), []
    predict_closeup(stand_in(lambda x: x[:, :1], seen), batch, 36)
    torch.testing.assert_close(seen[0][0], batch["image"][..., 17:53, 37:73])


def blobs() -> Tensor:
    """Pieces of 9, 4 and 2 pixels, the last two touching by a corner, and faint haze."""
    matte = torch.full((1, 1, 10, 10), 0.04)
    matte[..., :3, :3] = 0.5
    matte[..., 6:8, 6:8] = 0.9
    matte[..., 8, 8:] = 0.06
    return matte


def test_largest_piece_is_kept_and_all_else_is_0() -> None:
    kept = keep_largest(blobs(), 1)
    assert (kept[..., :3, :3] == 0.5).all()
    assert kept.count_nonzero() == 9


def test_as_many_pieces_are_kept_as_asked_for() -> None:
    kept = keep_largest(blobs(), 2)
    assert kept.count_nonzero() == 9 + 6
    assert torch.equal(keep_largest(blobs(), 5), kept)
    assert not keep_largest(torch.zeros(2, 1, 4, 4), 1).any()


def test_arguments_reach_the_prediction() -> None:
    torch.manual_seed(0)
    small: dict[str, Any] = {"width": 4, "n_blocks1": 1, "n_blocks2": 1}
    model = BackgroundMatting(**small, working_size=24, max_components=1).eval()
    batch = pictures(subject(20, 50, 40, 50, (90, 100)))
    alpha, extras = model.matte_with_extras(batch)
    whole = predict_closeup(model.network, batch, 24).alpha
    assert torch.equal(alpha, keep_largest(whole, 1))
    assert extras["foreground"].shape == (1, 3, 90, 100)
    for name in ("working_size", "max_components"):
        with pytest.raises(ValueError, match=f"{name} must be 0 or more, got -1"):
            BackgroundMatting(**small, **{name: -1})
