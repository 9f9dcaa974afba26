"""Sizes, lists of names, and writing: whole or not at all."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.io import (
    BadFileError,
    check_sizes,
    image_size,
    list_images,
    read_names,
    some,
    write_png,
    write_text_atomic,
)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(np.iinfo(dtype).max + 1, size=shape, dtype=dtype)


# sizes and lists


def test_size_comes_from_the_header_alone(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(64, 48, 3))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    assert image_size(tmp_path / "a.png") == (64, 48)


def test_differing_sizes_are_named() -> None:
    pictures = {"image": noise(5, 7, 3), "alpha": noise(5, 8)}
    files = {"image": Path("image/a.png"), "alpha": Path("alpha/a.png")}
    with pytest.raises(BadFileError, match=r"alpha.a\.png: 8 x 5 .* 7 x 5 as its image image.a"):
        check_sizes(pictures, files)


def test_list_is_sorted_and_leaves_out_what_is_hidden(tmp_path: Path) -> None:
    for name in ["b.PNG", "a.jpg", ".hidden.png", "._b.png", "notes.txt", "c.webp", "Thumbs.db"]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.webp"]


def test_list_of_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone is not a folder"):
        list_images(tmp_path / "gone")


@pytest.mark.parametrize(
    "text", ["a 1.jpg\nb (2).png", "a 1.jpg\nb (2).png\n", "\ufeffa 1.jpg\r\nb (2).png\r\n\r\n"]
)
def test_names_with_any_line_end(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert read_names(tmp_path / "list.txt") == ["a 1.jpg", "b (2).png"]


@pytest.mark.parametrize(
    "line",
    ["../a.png", "..", ".", "/etc/passwd", "a/b.png", "a\\b.png", "C:a.png", "C:\\a", "", "a\0b"],
)
def test_hostile_line_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"fine.png\n{line}\nfine too.png\n")
    with pytest.raises(BadFileError, match=r"list\.txt: line 2 '.*'; expected plain file names"):
        read_names(tmp_path / "list.txt")


def test_list_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("Bär.png".encode("latin-1"))
    with pytest.raises(BadFileError, match="in UTF-8"):
        read_names(tmp_path / "list.txt")
    with pytest.raises(BadFileError, match=r"gone\.txt"):
        read_names(tmp_path / "gone.txt")


def test_long_lists_are_shortened() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefghijkl"), most=2) == "a, b, ... (12 in all)"


# writing


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_what_is_written_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write_png(tmp_path / "a.png", noise(*shape)[::-1])
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), noise(*shape)[::-1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("picture", [np.zeros((5, 7)), np.zeros((5, 7, 2), np.uint8)])
def test_what_is_no_8_bit_picture_is_not_written(tmp_path: Path, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 .* got \w+ \(5, 7"):
        write_png(tmp_path / "a.png", picture)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text_atomic(tmp_path / "a.txt", "old\n")

    def fail(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        write_text_atomic(tmp_path / "a.txt", "new\n")
    assert (tmp_path / "a.txt").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "ä\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\n"
