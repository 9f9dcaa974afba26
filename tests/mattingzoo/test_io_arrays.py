"""Arrays kept on disk: whole, plain, and named when they are not."""

from pathlib import Path

import numpy as np
import pytest

from mattingzoo.io import BadFileError, read_array, write_array


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_array(tmp_path / "new" / "a.npy", array)
    assert np.array_equal(read_array(tmp_path / "new" / "a.npy"), array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.zeros(100))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadFileError, match=r"a\.npy"):
        read_array(path)
    with pytest.raises(BadFileError, match=r"b\.npy"):
        read_array(tmp_path / "b.npy")


def test_python_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_array(tmp_path / "a.npy", objects)
    np.save(tmp_path / "b.npy", objects, allow_pickle=True)
    with pytest.raises(BadFileError, match=r"b\.npy"):
        read_array(tmp_path / "b.npy")
