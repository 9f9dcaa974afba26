"""Derivation: what is there stays, what is missing is made, what cannot be made is named."""

from typing import cast

import pytest
import torch
from torch import Tensor

from mattingzoo.batch import DERIVED_FROM, Batch
from mattingzoo.derive import derive, random_trimap
from mattingzoo.ops import composite


def layers() -> Batch:
    torch.manual_seed(0)
    alpha = torch.zeros(2, 1, 24, 20)
    alpha[:, :, 6:18, 5:15] = 1
    alpha[:, :, 6] = 0.5
    return {
        "foreground": torch.rand(2, 3, 24, 20),
        "alpha": alpha,
        "background": torch.rand(2, 3, 24, 20),
    }


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_everything_is_derived_from_layers_with_the_shapes_of_the_contract() -> None:
    batch = derive(layers(), DERIVED_FROM, seeded())
    channels = {"image": 3, "trimap": 1, "segmentation": 1, "captured_background": 3, "motion": 4}
    for key, count in channels.items():
        picture = batch[key]  # type: ignore[literal-required]
        assert picture.shape == (2, count, 24, 20), key
        assert picture.min() >= 0 and picture.max() <= 1, key
    assert batch["box"].shape == (2, 4)
    assert batch["points"].shape == (2, 6, 3)


def test_image_is_the_composite() -> None:
    batch = derive(layers(), ["image"], seeded())
    expected = composite(batch["foreground"], batch["alpha"], batch["background"])
    assert torch.equal(batch["image"], expected)


def test_what_is_there_is_never_replaced() -> None:
    batch = layers()
    own = torch.full_like(batch["alpha"], 0.5)
    batch["trimap"] = own
    assert derive(batch, ["trimap"], seeded())["trimap"] is own


def test_only_what_is_needed_is_made() -> None:
    assert set(derive(layers(), ["box"], seeded())) == {*layers(), "box"}


def test_motion_makes_its_image() -> None:
    assert derive(layers(), ["motion"], seeded())["motion"].shape == (2, 4, 24, 20)


def test_motion_is_a_still_s_unless_it_is_to_move() -> None:
    still = derive(layers(), ["motion"], seeded())["motion"]
    assert torch.equal(still, still[:, :1].expand_as(still))
    many = {
        key: picture.repeat(20, 1, 1, 1)
        for key, picture in cast(dict[str, Tensor], layers()).items()
    }
    moving = derive(cast(Batch, many), ["motion"], seeded(), moving=True)["motion"]
    stills = sum(torch.equal(stack, stack[:1].expand_as(stack)) for stack in moving)
    assert 12 <= stills <= 28  # half of 40: a network has to do with both
    flat: Batch = {"image": torch.rand(1, 3, 4, 4)}
    alone = derive(flat, ["motion"], seeded(), moving=True)["motion"]
    assert torch.equal(alone, alone[:, :1].expand_as(alone))


def test_same_generator_same_entries() -> None:
    first, second = (derive(layers(), DERIVED_FROM, seeded(3)) for _ in range(2))
    for key in DERIVED_FROM:
        assert torch.equal(first[key], second[key]), key  # type: ignore[literal-required]


@pytest.mark.parametrize("key", ["trimap", "segmentation", "box", "points", "captured_background"])
def test_an_entry_does_not_depend_on_what_else_is_needed(key: str) -> None:
    alone, among = derive(layers(), [key], seeded()), derive(layers(), DERIVED_FROM, seeded())
    assert torch.equal(alone[key], among[key])  # type: ignore[literal-required]


def test_underivable_key_is_named() -> None:
    with pytest.raises(KeyError, match="'foreground' is missing from the batch and cannot be"):
        derive({"alpha": torch.zeros(1, 1, 2, 2)}, ["foreground"], seeded())


def test_missing_source_is_named() -> None:
    with pytest.raises(KeyError, match=r"'trimap' is missing from the batch and \['alpha'\]"):
        derive({"image": torch.zeros(1, 3, 2, 2)}, ["trimap"], seeded())


def test_kernels_are_drawn_for_each_sample_from_the_whole_range() -> None:
    alpha = torch.zeros(200, 1, 9, 9)
    alpha[:, :, 4, 4] = 1
    trimap = random_trimap(alpha, (1, 5), seeded())
    # The only opaque pixel survives no erosion but by a kernel of one pixel.
    kept = (trimap == 1).flatten(1).any(dim=1).float().mean()
    assert 0.1 < kept < 0.3
    dilated = (trimap == 0.5).flatten(1).sum(dim=1)
    assert dilated.min() <= 1 and dilated.max() >= 15
