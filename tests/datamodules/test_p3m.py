"""P3M-10k: portraits with blurred faces to train, two subsets to test."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.datamodules import P3M10k
from mattingzoo.io import Picture, write_png
from mattingzoo.source import Source

LAYOUT = Path(__file__).parents[2].parent / "shared" / "data" / "layouts" / "P3M-10k"
HALVES = {
    "train": ("blurred_image", ["p_0a", "p_1b", "p_2c"]),
    "validation/P3M-500-P": ("blurred_image", ["p_3d", "p_4e"]),
    "validation/P3M-500-NP": ("original_image", ["p_5f"]),
}


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for half, (images, names) in HALVES.items():
        kinds = (images, "mask") if half == "train" else (images, "mask", "trimap", "facemask")
        for kind in kinds:
            (tmp_path / half / kind).mkdir(parents=True)
        for k, name in enumerate(names):
            Image.fromarray(noise(6, 7, 3)).save(tmp_path / half / images / f"{name}.jpg")
            for kind in kinds[1:]:
                picture = noise(6, 7, seed=10 * len(kind) + k)
                picture = picture // 128 * 255 if kind == "trimap" else picture
                write_png(tmp_path / half / kind / f"{name}.png", picture)
    return tmp_path


def source_of(root: Path, split: str = "test", **settings: object) -> Source:
    return P3M10k(str(root), **settings).make_source(split)  # type: ignore[arg-type]


def test_training_portraits_have_blurred_faces(root: Path) -> None:
    source = source_of(root, "train")
    assert list(source.names) == ["p_0a", "p_1b", "p_2c"]
    assert source.native == {"image", "alpha"}
    assert [path.parent.name for path in source.files(0)] == ["blurred_image", "mask"]
    np.testing.assert_array_equal(source.load(2, rng())["alpha"], noise(6, 7, seed=42))


def test_layers_of_ones_own_are_given_too(root: Path) -> None:
    for kind in ("fg", "bg"):
        (root / "train" / kind).mkdir()
        for name in HALVES["train"][1]:
            write_png(root / "train" / kind / f"{name}.png", noise(6, 7, 3, seed=9))
    source = source_of(root, "train")
    assert source.native == {"image", "alpha", "foreground", "background"}
    np.testing.assert_array_equal(source.load(0, rng())["foreground"], noise(6, 7, 3, seed=9))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(
    ("subset", "images", "names"),
    [
        ("P3M-500-P", "blurred_image", ["p_3d", "p_4e"]),
        ("P3M-500-NP", "original_image", ["p_5f"]),
    ],
)
@pytest.mark.parametrize("under", ["validation", "."])
def test_subset_is_found_under_validation_or_in_the_root(
    root: Path, split: str, subset: str, images: str, names: list[str], under: str
) -> None:
    (root / "validation" / subset).rename(root / under / subset)
    source = source_of(root, split, subset=subset)
    assert list(source.names) == names
    pictures = source.load(0, rng())
    assert set(pictures) == source.native == {"image", "alpha", "trimap"}
    assert source.files(0)[0] == root / under / subset / images / f"{names[0]}.jpg"
    np.testing.assert_array_equal(pictures["trimap"], noise(6, 7, seed=60) // 128 * 255)


def test_without_shipped_trimaps_they_are_not_native(root: Path) -> None:
    (root / "validation/P3M-500-P/trimap").rename(root / "aside")
    assert source_of(root).native == {"image", "alpha"}


def test_holdout_validates_on_the_last_portraits(root: Path) -> None:
    train, val = (source_of(root, split, holdout=2) for split in ("train", "val"))
    assert (list(train.names), list(val.names)) == (["p_0a"], ["p_1b", "p_2c"])
    assert list(source_of(root, holdout=2).names) == ["p_3d", "p_4e"]
    with pytest.raises(ValueError, match="some of the 3 training foregrounds, got -1"):
        source_of(root, "train", holdout=-1)


def test_unknown_subset_is_refused() -> None:
    with pytest.raises(ValueError, match="subset must be P3M-500-P or P3M-500-NP, got 'NP'"):
        P3M10k(subset="NP")


def test_missing_subset_is_told_with_what_is_there(root: Path) -> None:
    (root / "validation/P3M-500-P").rename(root / "P3M-500")
    with pytest.raises(
        FileNotFoundError, match=r"lacks validation/P3M-500-P/; .*found P3M-500/, train/, valid"
    ):
        source_of(root)


def test_missing_partner_is_named(root: Path) -> None:
    (root / "validation/P3M-500-P/trimap/p_4e.png").unlink()
    with pytest.raises(FileNotFoundError, match="P3M-500-P lacks trimap/p_4e; expected a partner"):
        source_of(root)


@pytest.mark.skipif(not LAYOUT.is_dir(), reason="needs shared/data/layouts/P3M-10k")
@pytest.mark.parametrize("subset", ["P3M-500-P", "P3M-500-NP"])
def test_shared_layout_is_read(subset: str) -> None:
    for split, keys in {"train": 2, "test": 3}.items():
        source = source_of(LAYOUT, split, subset=subset)
        assert len(source) == 2
        pictures = source.load(1, rng())
        assert len(pictures) == keys
        assert {picture.shape[:2] for picture in pictures.values()} == {(360, 480)}
