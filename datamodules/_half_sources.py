"""The samples of a composed data set: layers to compose, or composites made before."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodules._half import Half
from mattingzoo.datamodules._half_check import how_to_compose
from mattingzoo.io import check_sizes, read_gray, read_rgb, read_trimap, some
from mattingzoo.source import Pictures, Source, without


class LayersSource(Source):
    """A foreground, its matte and a background, not yet composed: one sample for each background.

    Args:
        half: Which pairs there are.
        foregrounds: Which foregrounds to take, in their order.
        true_outside: Whether foreground colours are meaningful where alpha is 0.

    Raises:
        FileNotFoundError: If a folder or any listed file is missing.
        ValueError: If a list is of the wrong length.
    """

    native = frozenset({"foreground", "alpha", "background"})

    def __init__(
        self, half: Half, foregrounds: slice = slice(None), true_outside: bool = False
    ) -> None:
        self.half = half
        self.half.require()
        self.true_outside = true_outside
        taken = range(len(half.foregrounds))[foregrounds]
        each = half.repeats
        self._take([line for k in taken for line in range(k * each, (k + 1) * each)])

    def _take(self, lines: list[int]) -> None:
        self.lines = lines
        self.names = [self.half.name(line) for line in lines]
        self.foreground_names = [self.half.stem(line) for line in lines]

    def leave_out_backgrounds(self, names: Collection[str]) -> int:
        """Leave out the pairs with these; pairs are listed, so there are fewer samples."""
        backgrounds = {line: self.half.background(line) for line in self.lines}
        kept = {path.name for path in without(list(backgrounds.values()), names)}
        self._take([line for line, path in backgrounds.items() if path.name in kept])
        return len({path.name for path in backgrounds.values()}) - len(kept)

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one pair and its background, which keeps its own size."""
        foreground, alpha, background = self.files(index)
        pictures = {
            "foreground": read_rgb(foreground, upright=False),
            "alpha": read_gray(alpha, upright=False),
        }
        check_sizes(pictures, {"foreground": foreground, "alpha": alpha})
        return {**pictures, "background": read_rgb(background, upright=False)}

    def files(self, index: int) -> list[Any]:
        """Foreground, matte and background."""
        line = self.lines[index]
        half = self.half
        return [half.foreground(line), half.alpha(line), half.background(line)]


class CompositesSource(Source):
    """The composites of a half, with the trimaps shipped for them if there are any.

    The native key ``background`` is there if the folder ``bg`` is.

    Args:
        half: Where they lie.
        true_outside: Whether foreground colours are meaningful where alpha is 0.

    Raises:
        FileNotFoundError: If composites (the message says how to make them), trimaps or layers are
            missing.
        ValueError: If a list is of the wrong length.
    """

    def __init__(self, half: Half, true_outside: bool = False) -> None:
        self.half = half
        self.true_outside = true_outside
        with_background = half.fitted(0).parent.is_dir()
        self._file_of = {
            "alpha": half.alpha,
            "image": half.merged,
            **({"trimap": half.trimap} if half.trimaps else {}),
            "foreground": half.foreground,
            **({"background": half.fitted} if with_background else {}),
        }
        self.native = frozenset(self._file_of)
        self._require()
        self.names = [half.name(line) for line in range(len(half))]
        self.foreground_names = [half.stem(line) for line in range(len(half))]

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one composite with its layers and its trimap."""
        files = {key: file_of(index) for key, file_of in self._file_of.items()}
        readers = {"alpha": read_gray, "trimap": read_trimap}
        pictures = {
            key: readers.get(key, read_rgb)(file, upright=False) for key, file in files.items()
        }
        check_sizes(pictures, files)
        return pictures

    def files(self, index: int) -> list[Any]:
        """Matte, composite, trimap if shipped, foreground and, if it was kept, background."""
        return [file_of(index) for file_of in self._file_of.values()]

    def _require(self) -> None:
        half = self.half
        miscount = half.miscount()
        if miscount:
            raise ValueError(miscount)
        if not half.merged(0).parent.is_dir():
            raise FileNotFoundError(how_to_compose(half))
        files: list[Path] = [
            file_of(i) for file_of in self._file_of.values() for i in range(len(half))
        ]
        missing = half.absent(files)
        if missing:
            raise FileNotFoundError(
                f"{half.root} lacks {some(missing)}; composites are made, and finished where they "
                f"were broken off, by: mattingzoo data compose {half.dataset} --root {half.root}; "
                "all else belongs to the release"
            )
