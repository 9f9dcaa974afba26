"""RWP-636: portraits with mattes of the same stem, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.datamodules import RWP636
from mattingzoo.io import Picture, write_png
from mattingzoo.source import Split


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("image", "alpha", "detailmap"):
        (tmp_path / folder).mkdir()
    for k, name in enumerate(("1234_ab", "5678_cd")):
        Image.fromarray(noise(6, 7, 3, seed=k)).save(tmp_path / "image" / f"{name}.jpg")
        write_png(tmp_path / "alpha" / f"{name}.png", noise(6, 7, seed=k))
        detail = tmp_path / "detailmap" / f"{name}_cloud_trimap.jpg"
        Image.fromarray(noise(6, 7)).save(detail)
    return tmp_path


def test_images_and_alphas_are_matched(root: Path) -> None:
    source = RWP636(str(root)).make_source("test")
    assert list(source.names) == ["1234_ab", "5678_cd"]
    assert source.native == {"image", "alpha"}  # the detail maps are no trimaps
    alpha = source.load(1, np.random.default_rng(0))["alpha"]
    np.testing.assert_array_equal(alpha, noise(6, 7, seed=1))


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_is_a_test_set(root: Path, split: Split) -> None:
    with pytest.raises(ValueError, match=f"RWP636 is a test set, it has no '{split}' split"):
        RWP636(str(root)).make_source(split)


def test_missing_folders_are_told_with_what_is_there(root: Path) -> None:
    (root / "alpha").rename(root / "alphas")
    with pytest.raises(
        FileNotFoundError, match=r"lacks alpha/; .*found alphas/, detailmap/, image"
    ):
        RWP636(str(root)).make_source("test")


def test_portraits_without_matte_are_named(root: Path) -> None:
    (root / "alpha" / "1234_ab.png").unlink()
    with pytest.raises(ValueError, match="lacks alpha/1234_ab"):
        RWP636(str(root)).make_source("test")
