"""Test sets whose samples are files that lie over one another: image, alpha, perhaps a trimap."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.io import check_sizes, list_images, read_gray, read_rgb, read_trimap, some
from mattingzoo.source import Pictures, Source, Split


class FilesSource(Source):
    """Samples that are one file for each key.

    Args:
        names: One for each sample.
        files: The files of each sample by contract key, the same keys for every sample.
        foreground_names: What each sample shows; None takes the names.

    Raises:
        ValueError: If two samples have one name.
    """

    def __init__(
        self,
        names: Sequence[str],
        files: Sequence[Mapping[str, Path]],
        foreground_names: Sequence[str] | None = None,
    ) -> None:
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"several samples would be called {some(twice)}; rename their files")
        self.names = names
        self.foreground_names = names if foreground_names is None else foreground_names
        self.native = frozenset(files[0])
        self._files = files

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode the files of one sample, all of one size."""
        files = self._files[index]
        readers = {"alpha": read_gray, "trimap": read_trimap}
        pictures = {key: readers.get(key, read_rgb)(path) for key, path in files.items()}
        check_sizes(pictures, files)
        return pictures

    def files(self, index: int) -> list[Any]:
        """The files of one sample."""
        return list(self._files[index].values())


def require_test(split: Split, dataset: str) -> None:
    """Refuse any split but the test split.

    Raises:
        ValueError: If another one is asked for.
    """
    if split != "test":
        raise ValueError(
            f"{dataset} is a test set, it has no {split!r} split; train and validate on another "
            "data set, and score on this one with `mattingzoo test` or benchmarks/run.py"
        )


def require_folders(root: Path, folders: Sequence[str]) -> None:
    """Refuse a root that lacks a folder.

    Raises:
        FileNotFoundError: Naming what lacks and what is there instead.
    """
    lacking = [f"{name}/" for name in folders if not (root / name).is_dir()]
    if lacking:
        raise FileNotFoundError(
            f"{root} lacks {' and '.join(lacking)}; expected "
            f"{' and '.join(f'{name}/' for name in folders)}; found {contents(root)}; pass the "
            "folder that holds them as root"
        )


def by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by file stem, sorted.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If two files have one stem.
    """
    images = list_images(folder)
    if not images:
        raise FileNotFoundError(
            f"{folder} holds no pictures; expected PNG, JPEG, WebP or TIFF; found "
            f"{contents(folder)}; take it from the original release"
        )
    stems = {path.stem: path for path in images}
    if len(stems) < len(images):
        twice = [path.name for path in images if stems[path.stem] != path]
        raise ValueError(f"{folder} holds two files of one stem: {some(twice)}; remove one of each")
    return stems


def require_partners(root: Path, lacking: Sequence[str]) -> None:
    """Refuse a copy that lacks files.

    Args:
        root: Of the copy.
        lacking: Files that are not there, in words.

    Raises:
        FileNotFoundError: Naming the first ten of them.
    """
    if lacking:
        raise FileNotFoundError(
            f"{root} lacks {some(list(lacking))}; expected a partner for every file; take them "
            "from the original release, or remove the files that have none"
        )


def contents(folder: Path, most: int = 12) -> str:
    """What a folder holds, for messages: folders with a slash, then files, the first few."""
    if not folder.is_dir():
        return "no such folder"
    paths = sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name))
    names = [path.name + ("/" if path.is_dir() else "") for path in paths]
    shown = ", ".join(names[:most]) or "nothing"
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
