"""HIM2K: a sample for each person, and all persons of an image one after the other."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mattingzoo.datamodules import HIM2K
from mattingzoo.datamodules.him2k import HIM2KSource
from mattingzoo.io import Picture, write_png
from mattingzoo.metrics.instances import IMQ
from mattingzoo.source import Split

PEOPLE = {"natural": {"party": 3, "walk": 1}, "comp": {"000001": 2}}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def person(k: int) -> Picture:
    """A matte of two columns, beside those of other people."""
    matte = np.zeros((6, 7), np.uint8)
    matte[:, 2 * k : 2 * k + 2] = 200 + k
    return matte


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for subset, images in PEOPLE.items():
        (tmp_path / "images" / subset).mkdir(parents=True)
        for name, count in images.items():
            photo = Image.fromarray(noise(6, 7, 3, seed=count))
            photo.save(tmp_path / "images" / subset / f"{name}.jpg")
            (tmp_path / "alphas" / subset / name).mkdir(parents=True)
            for k in range(count):
                path = tmp_path / "alphas" / subset / name / f"{k:02d}.png"
                write_png(path, person(k))
    return tmp_path


def test_each_person_is_a_sample(root: Path) -> None:
    source = HIM2K(str(root)).make_source("test")
    assert list(source.names) == ["party_00", "party_01", "party_02", "walk_00"]
    assert source.native == {"image", "alpha"}
    image, alpha = source.files(1)
    assert (image.name, alpha.parent.name, alpha.name) == ("party.jpg", "party", "01.png")
    np.testing.assert_array_equal(source.load(1, rng())["alpha"], person(1))


def test_subset_is_a_setting(root: Path) -> None:
    source = HIM2K(str(root), subset="comp").make_source("test")
    assert list(source.names) == ["000001_00", "000001_01"]
    with pytest.raises(ValueError, match="subset must be natural or comp, got 'all'"):
        HIM2K(subset="all")


def test_persons_of_an_image_can_be_scored_together(root: Path) -> None:
    source = HIM2KSource(root, "natural")
    metric = IMQ()
    for _, group in groupby(range(len(source)), key=lambda i: source.images[i]):
        alphas = [source.load(i, rng())["alpha"] for i in group]
        truth = torch.from_numpy(np.stack(alphas))[:, None]
        metric.update(truth.flip(0), truth)
    assert metric.compute()["IMQ/MAD"] == 1
    assert metric.per_image()["TP"].tolist() == [3, 1]


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_is_a_test_set(root: Path, split: Split) -> None:
    with pytest.raises(ValueError, match=f"HIM2K is a test set, it has no '{split}' split"):
        HIM2K(str(root)).make_source(split)


def test_missing_folders_are_told_with_what_is_there(root: Path) -> None:
    (root / "images").rename(root / "photos")
    with pytest.raises(
        FileNotFoundError, match=r"lacks images/natural/; .*found alphas/, photos/;"
    ):
        HIM2KSource(root, "natural")


def test_image_without_mattes_and_mattes_without_image_are_named(root: Path) -> None:
    (root / "images" / "natural" / "walk.jpg").rename(root / "images" / "natural" / "run.jpg")
    with pytest.raises(
        FileNotFoundError, match=r"lacks alphas/natural/run/, images/natural/walk\.jpg;"
    ):
        HIM2KSource(root, "natural")


def test_mattes_without_folders_are_explained(root: Path) -> None:
    (root / "alphas" / "flat").mkdir()
    write_png(root / "alphas" / "flat" / "party.png", noise(6, 7))
    (root / "images" / "natural").rename(root / "images" / "flat")
    with pytest.raises(FileNotFoundError, match=r"flat holds no folders; .*found party\.png;"):
        HIM2KSource(root, "flat")


def test_empty_folder_of_a_person_is_named(root: Path) -> None:
    (root / "alphas" / "natural" / "walk" / "00.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"walk holds no pictures; .*found nothing"):
        HIM2KSource(root, "natural")
