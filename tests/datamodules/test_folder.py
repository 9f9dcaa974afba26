"""Pictures and their partners are matched by stem; what lacks a partner is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.datamodules.folder import Folder, FolderSource
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.source import Split


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def draw(root: Path, stems: list[str], optional: tuple[str, ...] = ()) -> Path:
    for key in ("image", "alpha", *optional):
        (root / key).mkdir(parents=True)
        for k, stem in enumerate(stems):
            gray = key in ("alpha", "trimap")
            picture = noise(6, 7 + k, *([] if gray else [3]), seed=k)
            write_png(root / key / f"{stem}.png", picture // 128 * 255 if gray else picture)
    return root


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_names_are_sorted_stems(tmp_path: Path) -> None:
    source = FolderSource(draw(tmp_path, ["b", "a (1)", "ä c"]))
    assert list(source.names) == ["a (1)", "b", "ä c"]
    assert source.foreground_names == source.names
    assert len(source) == 3


def test_sample_holds_image_and_alpha(tmp_path: Path) -> None:
    source = FolderSource(draw(tmp_path, ["a", "b"]))
    pictures = source.load(1, rng())
    assert set(pictures) == source.native == {"image", "alpha"}
    np.testing.assert_array_equal(pictures["image"], noise(6, 8, 3, seed=1))


def test_further_folders_are_further_keys(tmp_path: Path) -> None:
    optional = ("trimap", "background", "foreground")
    source = FolderSource(draw(tmp_path, ["a"], optional))
    pictures = source.load(0, rng())
    assert set(pictures) == source.native == {"image", "alpha", *optional}
    assert set(np.unique(pictures["trimap"])) <= {0, 128, 255}
    assert len(source.files(0)) == 5


def test_partners_may_differ_in_format(tmp_path: Path) -> None:
    root = draw(tmp_path, ["a"])
    (root / "image" / "a.png").unlink()
    Image.fromarray(noise(6, 7, 3)).save(root / "image" / "a.JPG")
    assert FolderSource(root).load(0, rng())["image"].shape == (6, 7, 3)


def test_hidden_and_other_files_are_no_partners(tmp_path: Path) -> None:
    root = draw(tmp_path, ["a"])
    for name in (".a.png.swp", "._b.png", "notes.txt"):
        (root / "image" / name).write_bytes(b"")
    assert list(FolderSource(root).names) == ["a"]


def test_all_files_without_partner_are_named_at_once(tmp_path: Path) -> None:
    root = draw(tmp_path, ["a", "b", "c"])
    (root / "alpha" / "b.png").unlink()
    (root / "image" / "c.png").unlink()
    with pytest.raises(
        ValueError, match=r"lacks alpha/b, image/c; expected .* image/, alpha/; add"
    ):
        FolderSource(root)


def test_ten_files_without_partner_are_shown_and_all_counted(tmp_path: Path) -> None:
    root = draw(tmp_path, [f"{k:02d}" for k in range(13)])
    for k in range(1, 13):
        (root / "alpha" / f"{k:02d}.png").unlink()
    with pytest.raises(ValueError, match=r"alpha/01, .* alpha/10, \.\.\. \(12 in all\)"):
        FolderSource(root)


def test_optional_folder_must_be_complete(tmp_path: Path) -> None:
    root = draw(tmp_path, ["a", "b"], ("trimap",))
    (root / "trimap" / "a.png").unlink()
    with pytest.raises(ValueError, match="lacks trimap/a;"):
        FolderSource(root)


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    root = draw(tmp_path, ["a"])
    write_png(root / "image" / "a.webp", noise(6, 7, 3))
    with pytest.raises(ValueError, match=r"image holds two files of one stem: a\.webp"):
        FolderSource(root)


@pytest.mark.parametrize("key", ["image", "alpha"])
def test_missing_and_empty_folders_are_named(tmp_path: Path, key: str) -> None:
    root = draw(tmp_path, ["a"])
    (root / key / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=f"{key} is empty; expected image/ and alpha/"):
        FolderSource(root)
    (root / key).rmdir()
    with pytest.raises(FileNotFoundError, match=f"{key} is missing; expected image/ and alpha/"):
        FolderSource(root)


def test_partner_of_another_size_is_refused(tmp_path: Path) -> None:
    root = draw(tmp_path, ["a"])
    write_png(root / "alpha" / "a.png", noise(6, 8))
    with pytest.raises(BadFileError, match=r"a\.png: 8 x 6 pixels; expected 7 x 6 as its image"):
        FolderSource(root).load(0, rng())


def test_folders_of_splits_are_used(tmp_path: Path) -> None:
    draw(tmp_path / "train", ["a", "b"])
    draw(tmp_path / "test", ["c"])
    data = Folder(str(tmp_path))
    assert list(data.make_source("train").names) == ["a", "b"]
    assert list(data.make_source("test").names) == ["c"]
    with pytest.raises(ValueError, match="has the splits train and test, no 'val'; make"):
        data.make_source("val")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_without_splits_the_folder_serves_all(tmp_path: Path, split: Split) -> None:
    data = Folder(str(draw(tmp_path, ["a"])))
    assert list(data.make_source(split).names) == ["a"]
