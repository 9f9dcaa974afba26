"""Samples that are files over one another (image, alpha, perhaps a trimap), and where they lie."""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.io import check_sizes, list_images, read_gray, read_rgb, read_trimap, some
from mattingzoo.source import Pictures, Source, Split

log = logging.getLogger(__name__)


class FilesSource(Source):
    """Samples that are one file for each key.

    Args:
        names: One for each sample.
        files: The files of each sample by contract key, the same keys for every sample.
        foreground_names: What each sample shows; None takes the names.
        upright: Turn pictures as their EXIF orientation says; False takes the stored pixels.

    Raises:
        ValueError: If two samples have one name.
    """

    def __init__(
        self,
        names: Sequence[str],
        files: Sequence[Mapping[str, Path]],
        foreground_names: Sequence[str] | None = None,
        upright: bool = True,
    ) -> None:
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"several samples would be called {some(twice)}; rename their files")
        self.names = names
        self.foreground_names = names if foreground_names is None else foreground_names
        self.native = frozenset(files[0])
        self._files = files
        self._upright = upright

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode the files of one sample, all of one size."""
        files = self._files[index]
        readers = {"alpha": read_gray, "trimap": read_trimap}
        pictures = {
            key: readers.get(key, read_rgb)(path, self._upright) for key, path in files.items()
        }
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


def held_out(count: int, holdout: int, split: Split) -> slice:
    """Which training foregrounds a split takes, the last ones to validate on.

    Args:
        count: How many there are, in their order.
        holdout: How many validate instead of being trained on.
        split: ``train`` or ``val``.

    Raises:
        ValueError: If none would be left to train on.
    """
    if not 0 <= holdout < count:
        raise ValueError(
            f"holdout must leave some of the {count} training foregrounds, got {holdout}"
        )
    kept = count - holdout
    return slice(0, kept) if split == "train" else slice(kept, count)


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


def match(root: Path, folders: Mapping[str, str]) -> list[dict[str, Path]]:
    """Pictures of one stem in several folders, sorted by name.

    Args:
        root: Folder that holds them all.
        folders: Their names by contract key.

    Returns:
        The files of each stem, by key.

    Raises:
        FileNotFoundError: If a folder is missing or empty, or a file lacks a partner.
        ValueError: If two files of a folder have one stem.
    """
    require_folders(root, list(folders.values()))
    pictures = {key: by_stem(root / name) for key, name in folders.items()}
    stems = list(dict.fromkeys(stem for files in pictures.values() for stem in files))
    lacking = [
        f"{folders[key]}/{stem}" for stem in stems for key in folders if stem not in pictures[key]
    ]
    require_partners(root, lacking)
    return [{key: pictures[key][stem] for key in folders} for stem in stems]


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


def find_folder(parent: Path, *names: str) -> Path:
    """The first of some folders that is there, in its own case or else in any.

    Returns:
        It, or where the first one should be if none is there.
    """
    inside = [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    for name in names:
        if (parent / name).is_dir():
            return parent / name
        alike = sorted(path for path in inside if path.name.lower() == name.lower())
        if alike:
            return alike[0]
    return parent / names[0]


def nearby(root: Path, name: str) -> Path:
    """A folder that several data sets share: in the root, beside it, or in a data set beside it.

    The last one, such as the copy of VOC that belongs to Composition-1k, is searched for up to two
    folders above the root; a warning tells of it, for what it holds decides what is composed.

    Returns:
        It, or where it belongs in the root if it is nowhere.
    """
    above = root.resolve().parents[:2]
    for folder in (root / name, *(parent / name for parent in above)):
        if folder.is_dir():
            return folder
    for parent in above:
        for folder in sorted(parent.glob(f"*/{name}")):
            log.warning("%s has no %s; taken from %s", root, name, folder)
            return folder
    return root / name


def chosen_by_name(name: str, files: Sequence[Path]) -> Path:
    """One of some files, the same for the same name, whatever other samples there are."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    return files[int.from_bytes(digest[:8], "big") % len(files)]


def in_natural_order(name: str) -> list[str | int]:
    """Sort key that puts ``a_2`` before ``a_10``."""
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"([0-9]+)", name))]
