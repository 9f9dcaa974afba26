"""AM-2k: photographs of animals with mattes, or the animals over BG-20k."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.datamodules import AM2k
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.source import Source

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
LAYOUT = SHARED / "layouts" / "AM-2k"
TRAIN = ["m_0a", "m_1b", "m_2c"]
TEST = ["m_8d", "m_9e"]


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The release with estimated layers; backgrounds of BG-20k are told apart by their width."""
    root = tmp_path / "data" / "sets" / "AM-2k"
    layouts = {"train": (TRAIN, ("mask", "fg", "bg")), "validation": (TEST, ("mask", "trimap"))}
    for half, (names, kinds) in layouts.items():
        for kind in ("original", *kinds):
            (root / half / kind).mkdir(parents=True)
        for k, name in enumerate(names):
            Image.fromarray(noise(6, 7, 3, seed=k)).save(root / half / "original" / f"{name}.jpg")
            for kind in kinds:
                colours = (3,) if kind in ("fg", "bg") else ()
                picture = noise(6, 7, *colours, seed=10 * len(kind) + k)
                if kind == "trimap":
                    picture = picture // 128 * 255
                write_png(root / half / kind / f"{name}.png", picture)
    for half, first in {"train": 20, "testval": 40}.items():
        (root / "BG-20k" / half).mkdir(parents=True)
        for k in range(7):
            path = root / "BG-20k" / half / f"h_{k}.jpg"
            Image.fromarray(noise(9, first + k, 3, seed=k)).save(path)
    return root


def source_of(root: Path, split: str = "train", **settings: object) -> Source:
    return AM2k(str(root), **settings).make_source(split)  # type: ignore[arg-type]


def width(source: Source, index: int, seed: int = 0) -> int:
    return int(source.load(index, rng(seed))["background"].shape[1])


# photographs


def test_photographs_come_with_their_estimated_layers(root: Path) -> None:
    source = source_of(root)
    assert list(source.names) == source.foreground_names == TRAIN
    pictures = source.load(1, rng())
    assert set(pictures) == source.native == {"image", "alpha", "foreground", "background"}
    np.testing.assert_array_equal(pictures["alpha"], noise(6, 7, seed=41))
    np.testing.assert_array_equal(pictures["foreground"], noise(6, 7, 3, seed=21))
    np.testing.assert_array_equal(pictures["background"], noise(6, 7, 3, seed=21))
    shown = [path.relative_to(root).as_posix() for path in source.files(1)]
    assert shown[:2] == ["train/original/m_1b.jpg", "train/mask/m_1b.png"]


@pytest.mark.parametrize("lost", ["fg", "bg"])
def test_layers_come_both_or_not_at_all(root: Path, lost: str) -> None:
    (root / "train" / lost).rename(root / "train" / "aside")
    source = source_of(root)
    assert source.native == {"image", "alpha"}
    assert set(source.load(0, rng())) == source.native


@pytest.mark.parametrize("track", ["ori", "com"])
@pytest.mark.parametrize("split", ["val", "test"])
def test_both_tracks_are_scored_on_photographs_with_shipped_trimaps(
    root: Path, track: str, split: str
) -> None:
    source = source_of(root, split, track=track)
    assert list(source.names) == TEST
    pictures = source.load(1, rng())
    assert set(pictures) == source.native == {"image", "alpha", "trimap"}
    np.testing.assert_array_equal(pictures["trimap"], noise(6, 7, seed=61) // 128 * 255)


def test_exif_orientation_is_ignored_as_by_the_authors(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / "validation" / "original" / "m_8d.jpg"
    Image.fromarray(noise(6, 7, 3)).save(path, exif=exif)
    assert source_of(root, "test").load(0, rng())["image"].shape == (6, 7, 3)


@pytest.mark.parametrize("track", ["ori", "com"])
def test_holdout_validates_on_the_last_animals(root: Path, track: str) -> None:
    train, val = (source_of(root, split, track=track, holdout=1) for split in ("train", "val"))
    assert set(train.foreground_names) == {"m_0a", "m_1b"}
    assert set(val.foreground_names) == {"m_2c"}
    assert list(source_of(root, "test", track=track, holdout=1).names) == TEST
    with pytest.raises(ValueError, match="holdout must leave some of the 3 training"):
        source_of(root, track=track, holdout=3)


# composed animals


def test_animals_are_composed_several_times(root: Path) -> None:
    source = source_of(root, track="com", per_foreground=2)
    assert list(source.names) == [f"{name}_{k}" for name in TRAIN for k in range(2)]
    assert source.foreground_names[1:3] == ["m_0a", "m_1b"]
    assert not source.true_outside
    pictures = source.load(3, rng())
    assert set(pictures) == source.native == {"foreground", "alpha", "background"}
    np.testing.assert_array_equal(pictures["foreground"], noise(6, 7, 3, seed=21))
    np.testing.assert_array_equal(pictures["alpha"], noise(6, 7, seed=41))
    assert len(source_of(root, track="com")) == 15  # the paper's five


def test_backgrounds_left_out_are_never_drawn(root: Path) -> None:
    source = source_of(root, track="com")
    assert source.leave_out_backgrounds({f"h_{k}.jpg" for k in range(5)}) == 5
    assert {width(source, 0, seed) for seed in range(30)} == {25, 26}


def test_training_draws_backgrounds_from_the_samples_seed(root: Path) -> None:
    source = source_of(root, track="com")
    assert width(source, 4, seed=3) == width(source, 4, seed=3)
    assert {width(source, 4, seed) for seed in range(60)} == set(range(20, 27))  # BG-20k/train
    assert [path.name for path in source.files(4)] == ["m_0a.png", "m_0a.png"]


def test_held_out_pairs_are_fixed_by_their_names(root: Path) -> None:
    source = source_of(root, "val", track="com", holdout=2)
    pairs = {name: source.files(i)[2].name for i, name in enumerate(source.names)}
    widths = [width(source, i, seed=i) for i in range(10)]
    assert widths == [40 + int(name[2]) for name in pairs.values()]  # BG-20k/testval
    assert len(set(widths)) > 1
    fewer = source_of(root, "val", track="com", holdout=1, per_foreground=2)
    assert [fewer.files(i)[2].name for i in range(2)] == [pairs["m_2c_0"], pairs["m_2c_1"]]


def test_backgrounds_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "BG-20k").rename(root.parent / "BG-20k")
    assert width(source_of(root, track="com"), 0) in range(20, 27)
    (root.parent / "BG-20k").rename(tmp_path / "bg")
    assert width(source_of(root, track="com", bg20k=str(tmp_path / "bg")), 0) in range(20, 27)
    with pytest.raises(
        FileNotFoundError, match=r"BG-20k.train is not a folder; .*found no such folder; .*as bg20k"
    ):
        source_of(root, track="com")
    assert len(source_of(root)) == 3  # photographs need none


def test_missing_foregrounds_are_told_with_the_way_out(root: Path) -> None:
    (root / "train" / "fg").rename(root / "train" / "aside")
    with pytest.raises(FileNotFoundError, match=r"lacks fg/.*estimate_foreground_ml.*track 'ori'"):
        source_of(root, track="com")


# what is wrong


def test_arguments_out_of_range_are_named(root: Path) -> None:
    with pytest.raises(ValueError, match="track must be ori or com, got 'comp'"):
        AM2k(track="comp")
    with pytest.raises(ValueError, match="per_foreground must be at least 1, got 0"):
        source_of(root, track="com", per_foreground=0)


def test_missing_partner_is_named(root: Path) -> None:
    (root / "train" / "mask" / "m_1b.png").unlink()
    with pytest.raises(FileNotFoundError, match="lacks mask/m_1b; expected a partner"):
        source_of(root)
    with pytest.raises(FileNotFoundError, match="lacks mask/m_1b; expected a partner"):
        source_of(root, track="com")


def test_missing_half_is_told_with_what_is_there(root: Path) -> None:
    (root / "validation" / "original").rename(root / "validation" / "image")
    with pytest.raises(FileNotFoundError, match=r"lacks original/; .*found image/, mask/, trimap/"):
        source_of(root, "test")


def test_layers_of_another_size_are_refused(root: Path) -> None:
    write_png(root / "train" / "fg" / "m_0a.png", noise(6, 8, 3))
    with pytest.raises(BadFileError, match=r"m_0a\.png: 8 x 6 pixels; expected 7 x 6"):
        source_of(root).load(0, rng())
    with pytest.raises(BadFileError, match=r"m_0a\.png: 7 x 6 pixels; expected 8 x 6"):
        source_of(root, track="com").load(0, rng())


@pytest.mark.skipif(not LAYOUT.is_dir(), reason="needs shared/data/layouts/AM-2k")
def test_shared_layout_is_read() -> None:
    photographs, test = source_of(LAYOUT), source_of(LAYOUT, "test")
    assert (len(photographs), len(test)) == (3, 2)
    assert test.native == {"image", "alpha", "trimap"}
    pictures = photographs.load(0, rng())
    assert {picture.shape[:2] for picture in pictures.values()} == {(360, 480)}
    # The sample's layers are the true ones: they make the photograph, up to its JPEG.
    opacity = pictures["alpha"][..., None] / 255
    made = opacity * pictures["foreground"] + (1 - opacity) * pictures["background"]
    assert np.abs(made - pictures["image"]).mean() < 3
