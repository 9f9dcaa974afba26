"""Cut-outs to be laid over backgrounds."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import chosen_by_name
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import bad_file, list_images, read_names, read_rgb, read_rgba, some
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split, without


class CutoutsSource(Source):
    """Each foreground on several backgrounds; sample ``FG_k`` is foreground FG for the k-th time.

    Args:
        foregrounds: Folder of RGBA pictures.
        backgrounds: Folder of photographs.
        fg_list: File that names the foregrounds to use; None uses all.
        bg_list: File that names the backgrounds to use; None uses all.
        per_foreground: Samples per foreground.
        fixed: Pair by the names alone, as an evaluation must; else draw backgrounds anew.

    Raises:
        FileNotFoundError: If a folder holds no pictures, or listed ones are missing.
        ValueError: If a list is unusable, or two foregrounds have one stem.
    """

    native = frozenset({"foreground", "alpha", "background"})
    true_outside = False

    def __init__(
        self,
        foregrounds: Path,
        backgrounds: Path,
        fg_list: Path | None = None,
        bg_list: Path | None = None,
        per_foreground: int = 10,
        fixed: bool = False,
    ) -> None:
        if per_foreground < 1:
            raise ValueError(f"per_foreground must be at least 1, got {per_foreground}")
        self.foregrounds = _pictures(foregrounds, fg_list)
        self.backgrounds = sorted(_pictures(backgrounds, bg_list))
        self.per_foreground = per_foreground
        self.fixed = fixed
        stems = [path.stem for path in self.foregrounds]
        _check_distinct(fg_list or foregrounds, stems)
        self.foreground_names = [stem for stem in stems for _ in range(per_foreground)]
        self.names = [f"{stem}_{k}" for stem in stems for k in range(per_foreground)]

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one cut-out and its background, each at its own size."""
        foreground, alpha = read_rgba(self._foreground(index))
        if self.fixed:
            background = self._fixed_background(index)
        else:
            background = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        return {"foreground": foreground, "alpha": alpha, "background": read_rgb(background)}

    def leave_out_backgrounds(self, names: Collection[str]) -> int:
        """Draw none of these any more; fixed pairs may change."""
        before = len(self.backgrounds)
        self.backgrounds = without(self.backgrounds, names)
        return before - len(self.backgrounds)

    def files(self, index: int) -> list[Any]:
        """The cut-out and, of a fixed pair, the background."""
        fixed = [self._fixed_background(index)] if self.fixed else []
        return [self._foreground(index), *fixed]

    def _foreground(self, index: int) -> Path:
        return self.foregrounds[index // self.per_foreground]

    def _fixed_background(self, index: int) -> Path:
        # By name, so that neither the order of the list nor other foregrounds change a pair.
        return chosen_by_name(self.names[index], self.backgrounds)


class Cutouts(MattingDataModule):
    """Cut-outs with an alpha channel on a folder of photographs.

    Content: whatever pictures are there. Training draws a background for each sample; evaluation
    pairs are fixed by the files' names.

    Format: ``root/fg/*.png`` (RGBA) and ``root/bg/*``. Lists ``root/{fg,bg}_{train,val,test}.txt``,
    one file name to a line, make the splits; where one is missing, all pictures serve that split.
    Colours where alpha is 0 are taken to be arbitrary.

    Args:
        root: Folder that holds both.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
        per_foreground: Samples per foreground and epoch.
        backgrounds: Folder of backgrounds, relative to ``root`` or from elsewhere. Its lists lie in
            ``root`` and begin with its name.
    """

    about = (
        "Any folder with fg/ (RGBA pictures) and bg/ (photographs), optionally with lists "
        "fg_train.txt, bg_train.txt and so on for splits."
    )

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 1,
        num_workers: int | None = None,
        seed: int | None = None,
        recipe: Recipe | None = None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
        per_foreground: int = 10,
        backgrounds: str = "bg",
    ) -> None:
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.per_foreground = per_foreground
        self.backgrounds = backgrounds

    def make_source(self, split: Split) -> Source:
        """Random pairs for training, fixed ones else."""
        fg_list = self.root / f"fg_{split}.txt"
        bg_list = self.root / f"{Path(self.backgrounds).name}_{split}.txt"
        return CutoutsSource(
            self.root / "fg",
            self.root / self.backgrounds,
            fg_list if fg_list.exists() else None,
            bg_list if bg_list.exists() else None,
            self.per_foreground,
            fixed=split != "train",
        )


def _pictures(folder: Path, names: Path | None) -> list[Path]:
    """All pictures of a folder, or those of a list, in the list's order."""
    present = list_images(folder)
    if names is None:
        if not present:
            raise FileNotFoundError(f"{folder} is empty; expected PNG, JPEG, WebP or TIFF pictures")
        return present
    listed = read_names(names)
    missing = sorted(set(listed) - {path.name for path in present})
    if missing or not listed:
        found = f"{folder} lacks {some(missing)}" if missing else "no names"
        raise FileNotFoundError(f"{names}: {found}; expected pictures of {folder}, one to a line")
    return [folder / name for name in listed]


def _check_distinct(where: Path, stems: list[str]) -> None:
    twice = sorted(stem for stem, count in Counter(stems).items() if count > 1)
    if twice:
        raise bad_file(
            where, f"several foregrounds are called {some(twice)}", "distinct stems", "rename them"
        )
