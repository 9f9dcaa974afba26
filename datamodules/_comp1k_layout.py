"""Where everything lies in the Deep Image Matting release ("Combined_Dataset")."""

from collections import Counter
from pathlib import Path

from mattingzoo.io import bad_file, read_names, some

ADOBE, OTHER = "Adobe-licensed images", "Other"


class Half:
    """The training or the test half: its two lists, and the files that each line stands for.

    Line ``i`` of the background list belongs to foreground ``i // repeats``; the composite of the
    two is called ``NAME_I``, with NAME the foreground's file name less its last four characters
    and I = ``i % repeats``.

    Args:
        root: Folder that holds ``Training_set`` and ``Test_set``.
        folder: Which of the two.
        parts: Folders in it that hold ``fg`` and ``alpha``.
        prefix: What the two lists' names begin with.
        repeats: Backgrounds per foreground.
        backgrounds: Folder of the pictures in the background list, COCO or VOC.

    Raises:
        FileNotFoundError: If the folder is not there.
        mattingzoo.io.BadFileError: If a list is missing or holds other than plain, distinct names.
    """

    def __init__(
        self,
        root: Path,
        folder: str,
        parts: list[str],
        prefix: str,
        repeats: int,
        backgrounds: Path,
    ) -> None:
        self.root = root
        self.folder = root / folder
        self.parts = parts
        self.repeats = repeats
        self.background_folder = backgrounds
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"{self.folder} is not a folder; expected the layout of the Deep Image Matting "
                "release, Training_set/ and Test_set/ in one folder; pass that folder as root"
            )
        self.foreground_list = self.folder / f"{prefix}_fg_names.txt"
        self.background_list = self.folder / f"{prefix}_bg_names.txt"
        self.foregrounds = read_names(self.foreground_list)
        self.backgrounds = read_names(self.background_list)
        self._check_distinct()
        self._part = {name: p for p in reversed(parts) for name in files_in(self.folder / p / "fg")}

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
        return self._layer("fg", index)

    def alpha(self, index: int) -> Path:
        """A composite's matte."""
        return self._layer("alpha", index)

    def background(self, index: int) -> Path:
        """A composite's background, not yet fitted to its foreground."""
        return self.background_folder / self.backgrounds[index]

    def trimap(self, index: int) -> Path:
        """A composite's trimap, shipped with the test half."""
        return self.folder / ADOBE / "trimaps" / f"{self.name(index)}.png"

    def merged(self, index: int) -> Path:
        """A composite, made by :mod:`mattingzoo.datamodules._compose`."""
        return self.folder / "merged" / f"{self.name(index)}.png"

    def fitted(self, index: int) -> Path:
        """A composite's background at the composite's size, made with it."""
        return self.folder / "bg" / f"{self.name(index)}.png"

    def miscount(self) -> str | None:
        """What is wrong with the length of the background list, if anything is."""
        if len(self.backgrounds) == len(self):
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
            *self.absent([self.background(i) for i in lines]),
        ]

    def absent(self, files: list[Path]) -> list[str]:
        """Those of some files that are not there; of a missing folder only the folder."""
        there = {folder: files_in(folder) for folder in {file.parent for file in files}}
        lost = [
            file if file.parent.is_dir() else file.parent
            for file in files
            if file.name not in there[file.parent]
        ]
        return list(dict.fromkeys(self.relative(path) for path in lost))

    def relative(self, path: Path) -> str:
        """A path as messages show it."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

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
                f"and {self.background_list}; if the backgrounds lie "
                "elsewhere pass their folder as coco; see all that is wrong with: "
                f"mattingzoo data check comp1k --root {self.root}"
            )

    def _foreground(self, index: int) -> str:
        return self.foregrounds[index // self.repeats]

    def _layer(self, kind: str, index: int) -> Path:
        name = self._foreground(index)
        return self.folder / self._part.get(name, self.parts[0]) / kind / name

    def _check_distinct(self) -> None:
        stems = [name[:-4] for name in self.foregrounds]
        twice = sorted(stem for stem, count in Counter(stems).items() if not stem or count > 1)
        if twice or not stems:
            found = f"several foregrounds would be called {some(twice)}" if twice else "no names"
            remedy = "take the list from the original release"
            raise bad_file(self.foreground_list, found, "distinct file names", remedy)


def training_half(root: Path, coco: Path | None = None) -> Half:
    """The training half: 100 backgrounds from COCO (``coco``, else ``train2014``) a foreground."""
    backgrounds = coco or root / "train2014"
    return Half(root, "Training_set", [ADOBE, OTHER], "training", 100, backgrounds)


def evaluation_half(root: Path, voc: Path | None = None) -> Half:
    """The test half: 20 backgrounds from VOC 2012 (``voc``, else ``VOCdevkit``) a foreground."""
    backgrounds = voc or root / "VOCdevkit" / "VOC2012" / "JPEGImages"
    return Half(root, "Test_set", [ADOBE], "test", 20, backgrounds)


def files_in(folder: Path) -> set[str]:
    """Names of the files in a folder, hidden ones left out; none if there is no such folder."""
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
