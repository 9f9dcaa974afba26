"""The contract: what follows from what, and how a mismatch is worded."""

import pytest
import torch

from mattingzoo.batch import DERIVED_FROM, Batch, check_keys, collate, derivable, to_float


def sample(name: str, side: int = 4) -> Batch:
    return {"image": torch.zeros(3, side, side), "name": name}  # type: ignore[typeddict-item]


def test_layers_give_everything() -> None:
    assert derivable({"foreground", "alpha", "background"}) >= set(DERIVED_FROM)


def test_image_and_alpha_give_no_layers_and_no_second_background() -> None:
    derived = {"trimap", "segmentation", "box", "points", "motion"}
    assert derivable({"image", "alpha"}) == {"image", "alpha"} | derived


def test_table_is_in_an_order_that_one_pass_can_follow() -> None:
    keys = list(DERIVED_FROM)
    for key, needs in DERIVED_FROM.items():
        assert all(keys.index(need) < keys.index(key) for need in needs if need in DERIVED_FROM)


def test_fitting_pair_passes() -> None:
    check_keys(("image", "trimap"), {"image", "alpha"}, "DIM", "Folder")


def test_misfit_names_model_data_set_and_key_in_one_sentence() -> None:
    with pytest.raises(KeyError) as caught:
        check_keys(("image", "foreground"), {"image", "alpha"}, "FBA", "Folder")
    message = caught.value.args[0]
    assert message.startswith(
        "FBA needs 'foreground', which Folder does not have and which cannot be derived from its "
        "alpha, image; "
    )
    assert "\n" not in message and ". " not in message


def test_every_missing_key_is_named() -> None:
    with pytest.raises(KeyError, match=r"M needs 'background' and 'foreground', which D"):
        check_keys(("foreground", "background"), {"image", "alpha"}, "M", "D")


def test_collate_stacks_pictures_and_lists_names() -> None:
    batch = collate([sample("a"), sample("b")])
    assert batch["image"].shape == (2, 3, 4, 4)
    assert batch["name"] == ["a", "b"]


def test_collate_names_samples_of_differing_size() -> None:
    with pytest.raises(ValueError, match=r"'image' differs .*'a': \(3, 4, 4\), 'b': \(3, 5, 5\)"):
        collate([sample("a"), sample("b", side=5)])


def test_collate_names_the_sample_with_other_keys() -> None:
    odd = sample("b")
    odd["alpha"] = torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match=r"'b' has the keys \['alpha', 'image', 'name'\]"):
        collate([sample("a"), odd])


@pytest.mark.parametrize(("dtype", "most"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_integers_become_unit_floats(dtype: torch.dtype, most: int) -> None:
    picture = to_float(torch.tensor([0, most], dtype=dtype))
    assert picture.dtype == torch.float32
    assert picture.tolist() == [0, 1]


def test_floats_pass_unchanged() -> None:
    picture = torch.rand(2)
    assert to_float(picture) is picture
