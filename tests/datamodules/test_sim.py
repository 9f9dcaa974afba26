"""SIMD: composites by category, named after foreground and background."""

from pathlib import Path

import numpy as np
import pytest

from mattingzoo.datamodules import SIM
from mattingzoo.datamodules.sim import SIMSource
from mattingzoo.io import Picture, write_png
from mattingzoo.source import Split

COMPOSITES = {
    "fur": ["dog-1196645_1920_2008_000902", "dog-1196645_1920_2009_001054"],
    "hair_easy": ["woman (1)_2008_000902"],
}
SAMPLES = [f"{category}_{stem}" for category, stems in COMPOSITES.items() for stem in stems]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for category, stems in COMPOSITES.items():
        for folder in ("merged", "alpha", "trimap"):
            (tmp_path / category / folder).mkdir(parents=True)
        for k, stem in enumerate(stems):
            write_png(tmp_path / category / "merged" / f"{stem}.png", noise(6, 7, 3, seed=k))
            write_png(tmp_path / category / "alpha" / f"{stem}.png", noise(6, 7, seed=k))
            trimap = noise(6, 7, seed=k) // 128 * 255
            write_png(tmp_path / category / "trimap" / f"{stem}.png", trimap)
    return tmp_path


def test_samples_are_named_after_category_and_file(root: Path) -> None:
    source = SIMSource(root)
    assert list(source.names) == SAMPLES
    assert source.categories == ["fur", "fur", "hair_easy"]


def test_composites_of_one_foreground_are_told(root: Path) -> None:
    source = SIM(str(root)).make_source("test")
    foregrounds = ["fur_dog-1196645_1920", "fur_dog-1196645_1920", "hair_easy_woman (1)"]
    assert list(source.foreground_names) == foregrounds


def test_sample_holds_image_alpha_and_trimap(root: Path) -> None:
    source = SIMSource(root)
    pictures = source.load(1, rng())
    assert set(pictures) == source.native == {"image", "alpha", "trimap"}
    np.testing.assert_array_equal(pictures["image"], noise(6, 7, 3, seed=1))
    np.testing.assert_array_equal(pictures["alpha"], noise(6, 7, seed=1))
    assert [path.parent.name for path in source.files(2)] == ["merged", "alpha", "trimap"]


def test_trimaps_are_native_only_if_all_categories_have_them(root: Path) -> None:
    (root / "fur" / "trimap").rename(root / "fur" / "trimaps")
    source = SIMSource(root)
    assert source.native == {"image", "alpha"}
    assert set(source.load(0, rng())) == source.native


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_is_a_test_set(root: Path, split: Split) -> None:
    with pytest.raises(ValueError, match=f"SIM is a test set, it has no '{split}' split"):
        SIM(str(root)).make_source(split)


def test_unknown_layout_is_told_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "list.txt").touch()
    with pytest.raises(
        FileNotFoundError, match=r"has no CATEGORY/alpha/.*found merged/, list\.txt"
    ):
        SIMSource(tmp_path)


def test_missing_folder_of_a_category_is_named(root: Path) -> None:
    (root / "fur" / "merged").rename(root / "fur" / "image")
    with pytest.raises(FileNotFoundError, match="lacks fur/merged/;"):
        SIMSource(root)


@pytest.mark.parametrize("folder", ["merged", "alpha", "trimap"])
def test_missing_partner_is_named(root: Path, folder: str) -> None:
    (root / "fur" / folder / f"{COMPOSITES['fur'][0]}.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=f"lacks fur/{folder}/dog-1196645_1920_2008_000902;"
    ):
        SIMSource(root)


def test_samples_of_one_name_are_refused(root: Path) -> None:
    for folder in ("merged", "alpha", "trimap"):
        (root / "hair" / folder).mkdir(parents=True)
        write_png(root / "hair" / folder / "easy_woman (1)_2008_000902.png", noise(6, 7))
    with pytest.raises(ValueError, match=r"several samples would be called hair_easy_woman \(1\)"):
        SIMSource(root)
