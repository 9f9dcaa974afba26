"""RSSN: how often, how strong, and that composites stay composites of their layers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.composer import Composer
from mattingzoo.datamodules import Cutouts, Mixture, Synthetic
from mattingzoo.io import write_png, write_text_atomic
from mattingzoo.ops import composite
from mattingzoo.recipe import DISCREPANCIES, Recipe
from mattingzoo.rssn import NOISE_SIGMA, denoise_layers, draw_noise, match_sharpness
from mattingzoo.windows import cut

PLAIN = Recipe(crop_size=32, crop_sides=(32,), flip=0, trimap_kernels=(1, 5))
RSSN = dataclasses.replace(PLAIN, rssn=DISCREPANCIES)
LAYERS = ("foreground", "alpha", "background")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(count: int = 4, low: int = 60, high: int = 196) -> Batch:
    """Colours far enough from both ends that no noise is clipped."""
    generator = seeded()
    batch: Batch = {
        "name": [str(i) for i in range(count)],
        "window": torch.full((count,), 32),
        "true_outside": torch.full((count,), True),
    }
    for key in LAYERS:
        channels = 1 if key == "alpha" else 3
        picture = torch.randint(low, high, (count, channels, 32, 32), generator=generator)
        batch[key] = picture.to(torch.uint8)  # type: ignore[literal-required]
    return batch


def compose(recipe: Recipe, batch: Batch, seed: int = 0) -> Batch:
    return Composer(recipe)(batch, seeded(seed))


def changed(before: Tensor, after: Tensor) -> float:
    """Share of the pictures that are not as they were."""
    return (before != after).flatten(1).any(dim=1).float().mean().item()


def test_half_of_a_thousand_backgrounds_are_blurred() -> None:
    backgrounds = torch.rand(1000, 3, 4, 4, generator=seeded())
    assert changed(backgrounds, match_sharpness(backgrounds, seeded(1))) == pytest.approx(
        0.5, abs=0.05
    )


def test_half_of_a_thousand_samples_are_noisy_with_one_deviation() -> None:
    pictures = torch.zeros(1000, 3, 8, 8)
    noise = draw_noise(pictures, seeded(2))
    assert changed(pictures, noise) == pytest.approx(0.5, abs=0.05)
    noisy = noise[noise.flatten(1).any(dim=1)]
    assert noisy.std().item() == pytest.approx(10 / 255, rel=0.02) == NOISE_SIGMA
    assert abs(noisy.mean().item()) < 1e-3


def test_both_layers_are_denoised_or_neither() -> None:
    foregrounds, backgrounds = torch.rand(2, 400, 3, 6, 6, generator=seeded())
    after = denoise_layers(foregrounds, backgrounds, seeded(3))
    first, second = (
        (before != now).flatten(1).any(dim=1)
        for before, now in zip((foregrounds, backgrounds), after, strict=True)
    )
    assert torch.equal(first, second)
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.07)


def test_denoising_takes_noise_and_leaves_edges() -> None:
    edge = torch.where(torch.arange(32) < 16, 0.2, 0.8).expand(64, 3, 32, 32)
    noisy = edge + 10 / 255 * torch.randn(edge.shape, generator=seeded())
    clean, _ = denoise_layers(noisy, noisy, seeded(1))
    chosen = (clean != noisy).flatten(1).any(dim=1)
    before, after = ((p - edge)[chosen].std().item() for p in (noisy, clean))
    assert after < 0.6 * before
    step = clean[chosen][..., 16].mean() - clean[chosen][..., 15].mean()
    assert step > 0.57  # of 0.6


def test_blur_has_one_of_five_kernels_in_proportion_to_the_sample() -> None:
    point = torch.zeros(200, 3, 192, 192)
    point[..., 96, 96] = 1
    blurred = match_sharpness(point, seeded())
    sides = {round(1 / peak.item() ** 0.5) for peak in blurred.amax(dim=(1, 2, 3))}
    # 20, 30, 40, 50, 60 pixels of a window of 960; an odd kernel next to each, 1 where unblurred.
    assert sides == {1, 5, 7, 9, 11, 13}


def test_the_equation_holds_on_what_comes_out() -> None:
    batch = compose(RSSN, windows(16))
    expected = composite(batch["foreground"], batch["alpha"], batch["background"])
    assert (batch["image"] - expected).abs().max() < 1 / 255


def test_one_noise_field_is_added_to_all_three() -> None:
    noise_only = dataclasses.replace(PLAIN, rssn=("noise",))
    batch = compose(noise_only, windows(16))
    # Denoising is a function of the layer alone: without it, layers are what was cut.
    cut_layers = {key: windows(16)[key].float() / 255 for key in LAYERS}  # type: ignore[literal-required]
    fields = [batch[key] - cut_layers[key] for key in ("foreground", "background")]  # type: ignore[literal-required]
    same = [torch.allclose(a, b, atol=1e-6) for a, b in zip(*fields, strict=True)]
    assert 2 <= sum(same) <= 14  # those that were not denoised
    kept = torch.tensor(same)
    image = composite(*(cut_layers[key][kept] for key in LAYERS))
    torch.testing.assert_close(batch["image"][kept] - image, fields[0][kept], atol=1e-6, rtol=0)


def test_noise_is_clipped_and_does_not_wrap_around() -> None:
    batch = compose(RSSN, windows(16, 250, 256))
    for key in ("image", "foreground", "background"):
        picture = batch[key]  # type: ignore[literal-required]
        assert picture.min() > 0.7 and picture.max() <= 1


def test_off_nothing_changes_and_photographs_are_left_alone() -> None:
    for recipe in (PLAIN, RSSN):
        batch = windows()
        photographs: Batch = {**batch, "image": batch["foreground"].clone()}
        expected = photographs["image"].float() / 255
        torch.testing.assert_close(compose(recipe, photographs)["image"], expected)
    layers = compose(PLAIN, windows())
    for key in LAYERS:
        torch.testing.assert_close(layers[key], windows()[key].float() / 255)  # type: ignore[literal-required]


def test_resolution_squeezes_the_whole_background_to_its_foreground() -> None:
    y, x = np.mgrid[:200, :100]
    background = np.stack([y, 2 * x, 0 * x], axis=-1).astype(np.uint8)
    alpha = np.zeros((50, 60), np.uint8)
    pictures = {"foreground": np.zeros((50, 60, 3), np.uint8), "alpha": alpha}
    recipe = dataclasses.replace(RSSN, crop_sides=(30,))
    squeezed = np.asarray(Image.fromarray(background).resize((60, 50), Image.Resampling.BILINEAR))
    for seed in range(5):
        window, side = cut(
            {**pictures, "background": background}, recipe, np.random.default_rng(seed)
        )
        got = window["background"].astype(int)
        # A ramp says where its window lies: 4 rows and 2 · 100 / 60 columns to a pixel.
        top, left = round((got[0, 0, 0] - 1.5) / 4), round((got[0, 0, 1] - 1.33) / (200 / 60))
        assert side == 30
        np.testing.assert_allclose(got, squeezed[top : top + 30, left : left + 30], atol=1)


def test_any_background_can_be_squeezed_to_any_foreground() -> None:
    rng = np.random.default_rng(0)
    recipe = dataclasses.replace(RSSN, crop_sides=(500,))
    for _ in range(300):  # some quotients times their divisor are a hair beyond the border
        height, width, rows, columns = (int(n) for n in 7 * rng.integers(1, 60, 4) + [0, 0, 1, 1])
        alpha = np.zeros((height, width), np.uint8)
        pictures = {"alpha": alpha, "background": np.zeros((rows, columns, 3), np.uint8)}
        window, side = cut(pictures, recipe, rng)
        assert side == min(height, width) and window["background"].shape == (side, side, 3)


def test_an_unknown_discrepancy_is_refused() -> None:
    with pytest.raises(ValueError, match="rssn takes any of resolution, sharpness, noise, got 'x'"):
        Recipe(rssn=("noise", "x"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two cut-outs and four backgrounds."""
    rng = np.random.default_rng(0)
    for folder, names, channels in (("fg", "ab", 4), ("bg", "0123", 3)):
        (tmp_path / folder).mkdir()
        for name in names:
            picture = rng.integers(256, size=(9, 9, channels), dtype=np.uint8)
            write_png(tmp_path / folder / f"{name}.png", picture)
    return tmp_path


def avoiding(root: Path, *names: str) -> Recipe:
    write_text_atomic(root / "salient.txt", "\n".join(names))
    return Recipe(avoid_backgrounds=str(root / "salient.txt"))


def test_backgrounds_of_a_list_are_not_trained_on(root: Path) -> None:
    recipe = avoiding(root, "1.png", "3.png", "elsewhere.png")
    data = Cutouts(str(root), recipe=recipe)
    kept = [path.name for path in data.source("train").backgrounds]  # type: ignore[attr-defined]
    assert kept == ["0.png", "2.png"]
    assert len(data.source("test").backgrounds) == 4  # type: ignore[attr-defined]
    photographs = Synthetic(str(root / "bg"), recipe=recipe).source("train")
    assert sorted(p.name for p in photographs.backgrounds) == kept  # type: ignore[attr-defined]


def test_a_mixture_leaves_them_out_of_every_part(root: Path) -> None:
    parts = [Synthetic(length=3), Cutouts(str(root), per_foreground=2)]
    source = Mixture(parts, recipe=avoiding(root, "1.png")).source("train")
    assert len(source.parts[1].backgrounds) == 3  # type: ignore[attr-defined]
    assert len(source) == 7


def test_a_list_that_names_nothing_or_everything_is_refused(root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no training background of Cutouts is named in .*salient"
    ):
        Cutouts(str(root), recipe=avoiding(root, "elsewhere.png")).source("train")
    every = [f"{k}.png" for k in range(4)]
    with pytest.raises(ValueError, match=r"all 4 backgrounds in .*bg are to be left out; shorten"):
        Cutouts(str(root), recipe=avoiding(root, *every)).source("train")
