"""One half of a composed data set, to train or to test on, and where its files lie."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mattingzoo.io import bad_file, some


@dataclass(kw_only=True)
class Half:
    """Foregrounds, each on ``repeats`` backgrounds, and the files that each composite stands for.

    Line ``i`` of the backgrounds belongs to foreground ``i // repeats``; the composite of the two
    is called ``NAME_I``, with NAME the foreground's file name less its last four characters and
    I = ``i % repeats``.

    Attributes:
        root: Folder of the data set.
        folder: This half of it.
        foregrounds: File names.
        backgrounds: File names, one for each composite; none if their folder is not there.
        repeats: Backgrounds per foreground.
        background_folder: Where the backgrounds lie.
        foreground_list: File (or folder) that the names of foregrounds were read from.
        background_list: File that the names of backgrounds were read from; None if they are those
            of the folder, in order.
        dataset: What the data set is called on the command line.
        option: What the folder of backgrounds is called there, ``coco`` or ``voc``.
        kinds: Folders of foregrounds and of mattes.
        parts: Folders in ``folder`` that hold both.
        trimaps: Folder of the trimaps shipped for the composites, if any are.
        on_the_fly: Whether composites need not be made before they are scored on.

    Raises:
        mattingzoo.io.BadFileError: If there are no foregrounds, or two of one stem.
    """

    root: Path
    folder: Path
    foregrounds: list[str]
    backgrounds: list[str]
    repeats: int
    background_folder: Path
    foreground_list: Path
    background_list: Path | None
    dataset: str
    option: str
    kinds: tuple[str, str] = ("fg", "alpha")
    parts: tuple[str, ...] = ("",)
    trimaps: Path | None = None
    on_the_fly: bool = False

    def __post_init__(self) -> None:
        self._check_distinct()
        self._part = {
            name: part
            for part in reversed(self.parts)
            for name in files_in(self.folder / part / self.kinds[0])
        }

    def __len__(self) -> int:
        """Number of composites."""
        return len(self.foregrounds) * self.repeats

    def stem(self, index: int) -> str:
        """What a composite's foreground is called."""
        return self._foreground(index)[:-4]

    def name(self, index: int) -> str:
        """What a composite is called."""
        return f"{self.stem(index)}_{index % self.repeats}"

    def foreground(self, index: int) -> Path:
        """A composite's foreground."""
        return self._layer(self.kinds[0], index)

    def alpha(self, index: int) -> Path:
        """A composite's matte."""
        return self._layer(self.kinds[1], index)

    def background(self, index: int) -> Path:
        """A composite's background, not yet fitted to its foreground."""
        return self.background_folder / self.backgrounds[index]

    def trimap(self, index: int) -> Path:
        """A composite's trimap, of a half that ships them."""
        assert self.trimaps is not None
        return self.trimaps / f"{self.name(index)}.png"

    def merged(self, index: int) -> Path:
        """A composite, made by :mod:`mattingzoo.datamodules._compose`."""
        return self.folder / "merged" / f"{self.name(index)}.png"

    def fitted(self, index: int) -> Path:
        """A composite's background at the composite's size, made with it."""
        return self.folder / "bg" / f"{self.name(index)}.png"

    def miscount(self) -> str | None:
        """What is wrong with the length of the background list, if anything is."""
        if self.background_list is None or len(self.backgrounds) == len(self):
            return None
        return (
            f"{self.background_list}: {len(self.backgrounds)} lines; expected {len(self)}, "
            f"{self.repeats} for each of {len(self.foregrounds)} foregrounds in "
            f"{self.foreground_list.name}; take both lists from the same release"
        )

    def missing(self) -> list[str]:
        """Folders and listed files that are not there, relative to the root; each named once."""
        first = range(0, len(self), self.repeats)
        lines = range(min(len(self), len(self.backgrounds)))
        return [
            *self.absent([self.foreground(i) for i in first]),
            *self.absent([self.alpha(i) for i in first]),
            *(self.absent([self.background(i) for i in lines]) or self._no_backgrounds()),
        ]

    def absent(self, files: list[Path]) -> list[str]:
        """Those of some files that are not there; of a missing folder only the folder."""
        there = {folder: files_in(folder) for folder in {file.parent for file in files}}
        lost = [
            file if file.parent.is_dir() else file.parent
            for file in files
            if file.name not in there[file.parent]
        ]
        return list(dict.fromkeys(relative(self.root, path) for path in lost))

    def require(self) -> None:
        """Refuse to begin with lists of the wrong length or with files missing.

        Raises:
            ValueError: If the background list is too long or too short.
            FileNotFoundError: If listed files are missing; the message names ten of them.
        """
        miscount = self.miscount()
        if miscount:
            raise ValueError(miscount)
        missing = self.missing()
        if missing:
            raise FileNotFoundError(
                f"{self.root} lacks {some(missing)}; expected every file of {self.foreground_list} "
                f"and {self.background_list or self.background_folder}; if the backgrounds lie "
                f"elsewhere pass their folder as {self.option}; see all that is wrong with: "
                f"mattingzoo data check {self.dataset} --root {self.root}"
            )

    def _foreground(self, index: int) -> str:
        return self.foregrounds[index // self.repeats]

    def _layer(self, kind: str, index: int) -> Path:
        name = self._foreground(index)
        return self.folder / self._part.get(name, self.parts[0]) / kind / name

    def _no_backgrounds(self) -> list[str]:
        return [] if self.backgrounds else [relative(self.root, self.background_folder)]

    def _check_distinct(self) -> None:
        stems = [name[:-4] for name in self.foregrounds]
        twice = sorted(stem for stem, count in Counter(stems).items() if not stem or count > 1)
        if twice or not stems:
            found = f"several foregrounds would be called {some(twice)}" if twice else "no names"
            remedy = "take it from the original release"
            raise bad_file(self.foreground_list, found, "distinct file names", remedy)


def files_in(folder: Path) -> set[str]:
    """Names of the files in a folder, hidden ones left out; none if there is no such folder."""
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def relative(root: Path, path: Path) -> str:
    """A path as messages show it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
