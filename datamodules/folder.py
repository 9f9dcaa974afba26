"""Any folder of pictures with mattes, matched by file stem."""

from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.io import check_sizes, list_images, read_gray, read_rgb, read_trimap, some
from mattingzoo.source import Pictures, Source, Split

REQUIRED = ("image", "alpha")
OPTIONAL = ("trimap", "foreground", "background")
SPLITS = ("train", "val", "test")


class FolderSource(Source):
    """Pictures of ``image/`` with their partners in ``alpha/`` and what other folders there are.

    Partners have one stem: ``image/cat.jpg`` belongs to ``alpha/cat.png``. The optional folders
    ``trimap/``, ``foreground/`` and ``background/`` are native keys where they exist; then they
    must be complete.

    Args:
        root: Folder that holds ``image`` and ``alpha``.

    Raises:
        FileNotFoundError: If a required folder is missing or empty.
        ValueError: If files lack a partner, or two files of a folder have one stem.
    """

    def __init__(self, root: Path) -> None:
        keys = [*REQUIRED, *(key for key in OPTIONAL if (root / key).is_dir())]
        self.native = frozenset(keys)
        self._files = {key: _by_stem(root, key) for key in keys}
        _check_partners(root, self._files)
        self.names = sorted(self._files["image"])
        self.foreground_names = self.names

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one picture and its partners, all of one size."""
        readers = {"alpha": read_gray, "trimap": read_trimap}
        files = self._paths(index)
        pictures = {key: readers.get(key, read_rgb)(path) for key, path in files.items()}
        check_sizes(pictures, files)
        return pictures

    def files(self, index: int) -> list[Any]:
        """The picture, its matte, and its other partners."""
        return list(self._paths(index).values())

    def _paths(self, index: int) -> dict[str, Path]:
        return {key: files[self.names[index]] for key, files in self._files.items()}


class Folder(MattingDataModule):
    """Your own pictures with mattes: ``image/``, ``alpha/`` and optionally more, by file stem.

    Format: ``root/train``, ``root/val`` and ``root/test`` where they exist, each laid out as
    :class:`FolderSource` says; without any of them ``root`` itself serves every split.
    """

    about = (
        "A folder of your own: image/ and alpha/, optionally trimap/, foreground/ and background/, "
        "with the same file stems (image/cat.jpg, alpha/cat.png); in train/, val/ and test/ if you "
        "have splits."
    )

    def make_source(self, split: Split) -> Source:
        """The split's own folder, or the whole."""
        present = [name for name in SPLITS if (self.root / name).is_dir()]
        if present and split not in present:
            raise ValueError(
                f"{self.root} has the splits {' and '.join(present)}, no {split!r}; "
                f"make {self.root / split}"
            )
        return FolderSource(self.root / split if present else self.root)


def _by_stem(root: Path, key: str) -> dict[str, Path]:
    folder = root / key
    files = list_images(folder) if folder.is_dir() else []
    if not files:
        state = "is empty" if folder.is_dir() else "is missing"
        raise FileNotFoundError(
            f"{folder} {state}; expected {' and '.join(f'{k}/' for k in REQUIRED)} in {root}, with "
            "pictures of the same stems, image/cat.jpg and alpha/cat.png"
        )
    stems: dict[str, Path] = {}
    twice = [path.name for path in files if stems.setdefault(path.stem, path) != path]
    if twice:
        raise ValueError(
            f"{folder} holds two files of one stem: {some(twice)}; expected one, remove the other"
        )
    return stems


def _check_partners(root: Path, files: dict[str, dict[str, Path]]) -> None:
    stems = {stem for by_stem in files.values() for stem in by_stem}
    lacking = [f"{key}/{stem}" for stem in sorted(stems) for key in files if stem not in files[key]]
    if lacking:
        raise ValueError(
            f"{root} lacks {some(lacking)}; expected a file of each stem in each of "
            f"{', '.join(f'{key}/' for key in files)}; add them, or remove their partners"
        )
