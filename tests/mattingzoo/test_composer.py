"""Composition: the equation holds, the trimap fits, and nothing leaves its range."""

import dataclasses

import pytest
import torch

from mattingzoo.batch import Batch
from mattingzoo.composer import Composer
from mattingzoo.ops import composite
from mattingzoo.recipe import Recipe

PLAIN = Recipe(crop_size=16, crop_sides=(16,), flip=0, trimap_kernels=(1, 5))
ALL = dataclasses.replace(
    PLAIN, flip=0.5, rotate=30, scale=1.5, shear=0.3, combine=0.5, jitter=0.4, noise=0.1, degrade=1
)
LAYERS = ("foreground", "alpha", "background")


def windows(*keys: str, count: int = 3, side: int = 16, true_outside: bool = True) -> Batch:
    generator = torch.Generator().manual_seed(0)
    batch: Batch = {
        "name": [str(i) for i in range(count)],
        "window": torch.full((count,), side),
        "true_outside": torch.full((count,), true_outside),
    }
    for key in keys:
        channels = 1 if key == "alpha" else 3
        picture = torch.randint(256, (count, channels, side, side), generator=generator)
        batch[key] = picture.to(torch.uint8)  # type: ignore[literal-required]
    if "alpha" in batch:
        batch["alpha"][:, :, :5], batch["alpha"][:, :, 11:] = 0, 255
    return batch


def compose(recipe: Recipe, batch: Batch, seed: int = 0) -> Batch:
    return Composer(recipe)(batch, torch.Generator().manual_seed(seed))


def assert_trimap_fits(batch: Batch) -> None:
    alpha = (batch["alpha"] * 255).round()
    assert set(batch["trimap"].unique().tolist()) <= {0, 0.5, 1}
    assert (alpha[batch["trimap"] == 1] == 255).all()
    assert (alpha[batch["trimap"] == 0] == 0).all()


def test_window_of_the_right_side_is_composed_unchanged() -> None:
    raw = windows(*LAYERS)
    expected = {key: raw[key].float() / 255 for key in LAYERS}  # type: ignore[literal-required]
    batch = compose(PLAIN, raw)
    for key in LAYERS:
        torch.testing.assert_close(batch[key], expected[key])  # type: ignore[literal-required]
    torch.testing.assert_close(batch["image"], composite(*expected.values()))
    assert "window" not in batch


@pytest.mark.parametrize("true_outside", [True, False])
@pytest.mark.parametrize("recipe", [PLAIN, ALL], ids=["plain", "all"])
def test_ranges_and_trimap(recipe: Recipe, true_outside: bool) -> None:
    batch = compose(recipe, windows(*LAYERS, true_outside=true_outside))
    for key in ("image", *LAYERS):
        picture = batch[key]  # type: ignore[literal-required]
        assert picture.shape[-2:] == (16, 16) and picture.dtype == torch.float32
        assert picture.min() >= 0 and picture.max() <= 1, key
    assert_trimap_fits(batch)


def test_equation_holds_under_every_augmentation_but_noise() -> None:
    batch = compose(dataclasses.replace(ALL, noise=0), windows(*LAYERS))
    expected = composite(batch["foreground"], batch["alpha"], batch["background"])
    torch.testing.assert_close(batch["image"], expected)


def test_noise_is_added_to_the_image_alone() -> None:
    clean = compose(PLAIN, windows(*LAYERS))
    noisy = compose(dataclasses.replace(PLAIN, noise=0.1), windows(*LAYERS))
    assert not torch.equal(clean["image"], noisy["image"])
    for key in LAYERS:
        assert torch.equal(clean[key], noisy[key])  # type: ignore[literal-required]


def test_same_generator_same_batch_and_another_another() -> None:
    first, same, other = (compose(ALL, windows(*LAYERS), seed)["image"] for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_colours_are_carried_outward_only_where_they_are_arbitrary() -> None:
    raw = windows(*LAYERS)
    raw["true_outside"] = torch.tensor([True, False, True])
    raw["foreground"] = torch.full_like(raw["foreground"], 200)
    raw["foreground"][:, :, :5] = 0
    top = compose(PLAIN, raw)["foreground"][:, :, 0].amax(dim=(1, 2)) * 255
    assert top.round().tolist() == [0, 200, 0]


def test_enlarged_cut_out_has_no_dark_fringe() -> None:
    raw = windows(*LAYERS, side=7, true_outside=False)
    raw["alpha"][:] = 0
    raw["alpha"][:, :, 2:5, 2:5] = 255
    raw["foreground"] = torch.where(raw["alpha"] > 0, 200, 0).expand(-1, 3, -1, -1).to(torch.uint8)
    batch = compose(PLAIN, raw)
    assert abs(batch["foreground"].min().item() - 200 / 255) < 1e-6


def test_subject_that_fills_a_small_window_stays_opaque_at_the_edge() -> None:
    raw = windows(*LAYERS, side=9)
    raw["alpha"][:] = 255
    assert compose(PLAIN, raw)["alpha"].min() == 1


def test_padding_of_a_smaller_window_is_not_seen() -> None:
    alone = windows(*LAYERS, count=1, side=9)
    padded = windows(*LAYERS, count=1, side=9)
    for key in LAYERS:
        value = 0 if key == "alpha" else 99
        picture = padded[key]  # type: ignore[literal-required]
        padded[key] = torch.nn.functional.pad(picture, (0, 7, 0, 7), value=value)  # type: ignore[literal-required]
    strong = dataclasses.replace(ALL, jitter=0, noise=0)
    first, second = compose(strong, alone), compose(strong, padded)
    for key in ("image", *LAYERS):
        torch.testing.assert_close(first[key], second[key])  # type: ignore[literal-required]


def test_image_without_layers_is_turned_with_its_alpha() -> None:
    raw = windows("image", "alpha")
    raw["image"] = raw["alpha"].expand(-1, 3, -1, -1).clone()
    batch = compose(dataclasses.replace(ALL, jitter=0, noise=0), raw)
    torch.testing.assert_close(batch["image"][:, :1], batch["alpha"])
    assert_trimap_fits(batch)
    assert not {"foreground", "background", "window"} & set(batch)


def test_image_with_one_layer_keeps_both_and_their_colours() -> None:
    raw = windows("image", "alpha", "foreground")
    raw["foreground"] = raw["image"].clone()
    batch = compose(ALL, {**raw})
    noiseless = compose(dataclasses.replace(ALL, noise=0), raw)
    torch.testing.assert_close(noiseless["foreground"], noiseless["image"])
    assert torch.equal(batch["foreground"], noiseless["foreground"])


def test_flip_is_drawn_for_each_sample() -> None:
    raw = windows("image", "alpha", count=40)
    before = raw["alpha"].float() / 255
    after = compose(dataclasses.replace(PLAIN, flip=0.5), raw)["alpha"]
    same = [torch.allclose(a, b) for a, b in zip(before, after, strict=True)]
    mirrored = [torch.allclose(a.flip(-1), b) for a, b in zip(before, after, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 10 < sum(mirrored) < 30


def test_second_foreground_of_the_batch_is_laid_behind_the_first() -> None:
    raw = windows(*LAYERS, count=2)
    raw["alpha"][0], raw["alpha"][1] = 0, 0
    raw["alpha"][0, :, 2:4], raw["alpha"][1, :, 8:10] = 255, 128
    batch = compose(dataclasses.replace(PLAIN, combine=1), raw)
    for sample in batch["alpha"]:
        rows = (sample[0, :, 0] * 255).round().tolist()
        assert rows == [0, 0, 255, 255, 0, 0, 0, 0, 128, 128, 0, 0, 0, 0, 0, 0]


def test_merger_that_covers_everything_is_not_made() -> None:
    raw = windows(*LAYERS, count=2)
    raw["alpha"][0], raw["alpha"][1] = 255, 0
    alpha = compose(dataclasses.replace(PLAIN, combine=1), raw)["alpha"]
    assert alpha[0].min() == 1 and alpha[1].max() == 0


def test_one_sample_has_no_second_foreground() -> None:
    recipe = dataclasses.replace(PLAIN, combine=1)
    alone = compose(recipe, windows(*LAYERS, count=1))
    torch.testing.assert_close(alone["alpha"], windows(*LAYERS, count=1)["alpha"] / 255)


@pytest.mark.parametrize("value", [0, 255])
def test_uniform_mattes_survive_every_augmentation(value: int) -> None:
    raw = windows(*LAYERS, true_outside=False)
    raw["alpha"][:] = value
    batch = compose(ALL, raw)
    assert batch["image"].isfinite().all()
    assert_trimap_fits(batch)


def test_window_of_one_pixel() -> None:
    batch = compose(ALL, windows(*LAYERS, side=1, true_outside=False))
    assert batch["image"].shape == (3, 3, 16, 16)
    assert batch["image"].isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "centre"}, "background must be 'aligned' or 'random', got 'centre'"),
        ({"crop_size": 0}, "crop_size must be at least 1 pixel, got 0"),
        ({"window": "middle"}, "window must be one of unknown, anywhere, subject, got 'middle'"),
        ({"crop_sides": ()}, r"crop_sides must be 1 pixel or more each, got \(\)"),
        ({"scale": 0.8}, "scale must be at least 1, got 0.8"),
        ({"flip": 1.5}, r"flip is a probability in \[0, 1\], got 1.5"),
        ({"jitter": 2.0}, r"jitter must lie in \[0, 1\], got 2.0"),
        ({"trimap_kernels": (9, 3)}, r"trimap_kernels .* got \(9, 3\)"),
    ],
)
def test_impossible_recipe_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**options)  # type: ignore[arg-type]


def test_shear_does_not_depend_on_the_side_of_the_window() -> None:
    slants = []
    for side in (16, 32):
        ramp = (torch.arange(side) * 256 // side).to(torch.uint8)
        raw = windows("image", "alpha", count=1, side=side)
        raw["image"] = ramp.expand(1, 3, side, side).clone()
        middle = compose(dataclasses.replace(PLAIN, shear=0.5), raw)["image"][0, 0, :, 8]
        slants.append(float(middle[12] - middle[4]))
    assert abs(slants[0]) > 0.05
    assert abs(slants[0] - slants[1]) < 0.02


def test_own_foreground_stays_in_front() -> None:
    raw = windows(*LAYERS, count=2)
    raw["alpha"][:] = 0
    raw["alpha"][:, :, 4:8] = 255
    raw["foreground"][0], raw["foreground"][1] = 40, 80
    colours = compose(dataclasses.replace(PLAIN, combine=1), raw)["foreground"][:, 0, 5, 5] * 255
    assert colours.round().tolist() == [40, 80]
