"""What data sets share to find their files."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mattingzoo.datamodules._pairs import (
    chosen_by_name,
    find_folder,
    held_out,
    in_natural_order,
    match,
    nearby,
)
from mattingzoo.io import write_png


def test_folder_in_its_own_case_comes_first(tmp_path: Path) -> None:
    (tmp_path / "FG").mkdir()
    assert find_folder(tmp_path, "FG") == tmp_path / "FG"
    assert find_folder(tmp_path, "fg").samefile(tmp_path / "FG")
    assert find_folder(tmp_path, "Fg_images", "fg").samefile(tmp_path / "FG")
    (tmp_path / "file").touch()
    assert find_folder(tmp_path, "file", "none") == tmp_path / "file"
    assert not find_folder(tmp_path / "gone", "FG").exists()


def test_nearest_folder_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "a" / "b" / "root"
    root.mkdir(parents=True)
    assert nearby(root, "VOC/images") == root / "VOC/images"
    places = [tmp_path / "a" / "other", tmp_path / "a" / "b" / "other", tmp_path / "a", root]
    for place in places:  # from far to near
        (place / "VOC" / "images").mkdir(parents=True)
        with caplog.at_level(logging.WARNING):
            assert nearby(root, "VOC/images") == place / "VOC" / "images"
    assert len(caplog.records) == 2  # of the copies that belong to other data sets
    (tmp_path / "other" / "BG").mkdir(parents=True)
    assert nearby(root, "BG") == root / "BG"  # too far


def test_numbers_are_ordered_as_numbers() -> None:
    names = ["a_10.png", "13(2).png", "a_2.png", "a.png", "9.png", "b_1.png", "a_2b.png"]
    expected = ["9.png", "13(2).png", "a.png", "a_2.png", "a_2b.png", "a_10.png", "b_1.png"]
    assert sorted(names, key=in_natural_order) == expected


@given(st.lists(st.text()))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    assert sorted(sorted(names, key=in_natural_order)) == sorted(names)


@given(st.text(), st.integers(1, 9))
def test_choice_depends_on_the_name_alone(name: str, count: int) -> None:
    files = [Path(str(k)) for k in range(count)]
    assert chosen_by_name(name, files) == chosen_by_name(name, list(files)) in files


def test_choices_are_spread() -> None:
    files = [Path(str(k)) for k in range(4)]
    counts = [[chosen_by_name(str(i), files) for i in range(400)].count(file) for file in files]
    assert min(counts) > 70  # 100 expected, standard deviation 8.7


@given(st.integers(1, 50), st.integers(-5, 55))
def test_every_picture_trains_or_validates(count: int, holdout: int) -> None:
    pictures = list(range(count))
    if not 0 <= holdout < count:
        with pytest.raises(ValueError, match=f"some of the {count} training"):
            held_out(count, holdout, "train")
        return
    train, val = (pictures[held_out(count, holdout, split)] for split in ("train", "val"))
    assert train + val == pictures
    assert len(val) == holdout


def test_files_are_matched_by_stem(tmp_path: Path) -> None:
    for folder, names in {"image": "ba", "mask": "abc"}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            write_png(tmp_path / folder / f"{name}.png", np.zeros((2, 2), np.uint8))
    folders = {"image": "image", "alpha": "mask"}
    with pytest.raises(FileNotFoundError, match="lacks image/c; expected a partner"):
        match(tmp_path, folders)
    (tmp_path / "mask" / "c.png").unlink()
    matched = match(tmp_path, folders)
    assert [[path.name for path in files.values()] for files in matched] == [
        ["a.png"] * 2,
        ["b.png"] * 2,
    ]
    assert list(matched[0]) == ["image", "alpha"]
    with pytest.raises(FileNotFoundError, match="lacks trimap/"):
        match(tmp_path, {**folders, "trimap": "trimap"})
