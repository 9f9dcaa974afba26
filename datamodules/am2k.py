"""AM-2k, animals in natural scenes, with BG-20k to compose them on."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import (
    FilesSource,
    by_stem,
    chosen_by_name,
    contents,
    held_out,
    match,
    nearby,
)
from mattingzoo.datamodules._photographs import PhotographsSource
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import read_rgb
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split, without

TRACKS = ("ori", "com")


class AM2kCom(Source):
    """Animals cut out and laid over backgrounds; ``NAME_k`` is NAME for the k-th time.

    Args:
        train: Folder that holds ``fg`` and ``mask``.
        backgrounds: Folder of photographs.
        split: ``train`` draws backgrounds anew for each sample and epoch, ``val`` takes them by the
            names alone.
        holdout: How many animals, the last by name, validate.
        per_foreground: Samples per animal.

    Raises:
        FileNotFoundError: If a folder is missing or empty, or a file lacks a partner.
        ValueError: If two files of a folder have one stem, or an argument is out of range.
    """

    native = frozenset({"foreground", "alpha", "background"})
    true_outside = False  # estimated from image and matte, or worse: image times matte

    def __init__(
        self, train: Path, backgrounds: Path, split: Split, holdout: int, per_foreground: int
    ) -> None:
        if per_foreground < 1:
            raise ValueError(f"per_foreground must be at least 1, got {per_foreground}")
        if not (train / "fg").is_dir():
            raise FileNotFoundError(
                f"{train} lacks fg/, the animals' own colours; expected fg/NAME.png for each "
                "mask/NAME.png: they are not distributed, estimate them from original/ and mask/, "
                "for instance with pymatting.estimate_foreground_ml; or train on the photographs "
                "with track 'ori'"
            )
        files = match(train, {"foreground": "fg", "alpha": "mask"})
        files = files[held_out(len(files), holdout, split)]
        self._animals = FilesSource([pair["alpha"].stem for pair in files], files, upright=False)
        self._fixed = split != "train"
        self.backgrounds = list(by_stem(backgrounds).values())
        self.per_foreground = per_foreground
        animals = self._animals.names
        self.foreground_names = [name for name in animals for _ in range(per_foreground)]
        self.names = [f"{name}_{k}" for name in animals for k in range(per_foreground)]

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one animal and its background, each at its own size."""
        pictures = self._animals.load(index // self.per_foreground, rng)
        if self._fixed:
            background = chosen_by_name(self.names[index], self.backgrounds)
        else:
            background = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        return {**pictures, "background": read_rgb(background, upright=False)}

    def leave_out_backgrounds(self, names: Collection[str]) -> int:
        """Draw none of these any more."""
        before = len(self.backgrounds)
        self.backgrounds = without(self.backgrounds, names)
        return before - len(self.backgrounds)

    def files(self, index: int) -> list[Any]:
        """The animal and, of a fixed pair, the background."""
        fixed = [chosen_by_name(self.names[index], self.backgrounds)] if self._fixed else []
        return [*self._animals.files(index // self.per_foreground), *fixed]


class AM2k(MattingDataModule):
    """AM-2k: 1,800 photographs of animals to train, 200 to test.

    Content: animals of 20 categories in natural scenes; which is which is not said in the names.
    Two tracks of training: ``ori`` on the photographs, ``com`` on the animals composed over BG-20k,
    20,000 photographs without salient objects. Both are scored on the photographs, as a whole. The
    field validates on the test set; ``holdout`` validates on training animals instead, and leaves
    them out of training: on their photographs, or on pairs with BG-20k's test half that are fixed
    by their names.

    Format: ``train/{original,mask}`` and ``validation/{original,mask,trimap}``,
    ``m_XXXXXXXX.jpg`` in ``original``, ``.png`` elsewhere. ``train/{fg,bg}`` are not distributed:
    estimate them from photograph and matte. Track ``ori`` gives both if they are there, track
    ``com`` needs ``fg``. BG-20k is ``train/`` and ``testval/``. The authors' composition route RSSN
    (blur, denoising, noise, backgrounds squeezed to the animal's size) belongs to the recipe, not
    to the data; ``fg_denoise/``, ``original_denoise/`` and ``train_denoise/`` are not read.

    Licence: both after an agreement, which names the MIT licence.

    Citation: Li, Zhang, Maybank, Tao: Bridging Composite and Real: Towards End-to-end Deep Image
    Matting, IJCV 2022.

    Args:
        root: Folder that holds ``train`` and ``validation``.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
        track: ``ori`` or ``com``.
        bg20k: Folder of BG-20k; None takes ``BG-20k`` in the root, beside it, or in a data set
            beside it.
        per_foreground: Samples per animal and epoch of track ``com``; the paper speaks of 5, the
            authors' code takes 1.
        holdout: Validate on so many training animals, the last by name; 0 validates on the test
            set.
    """

    about = (
        "AM-2k comes from github.com/JizhiziLi/GFM: train/ with original/ and mask/, validation/ "
        "with original/, mask/ and trimap/; BG-20k comes from there too."
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
        track: str = "ori",
        bg20k: str | None = None,
        per_foreground: int = 5,
        holdout: int = 0,
    ) -> None:
        if track not in TRACKS:
            raise ValueError(f"track must be {' or '.join(TRACKS)}, got {track!r}")
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.track = track
        self.bg20k = bg20k
        self.per_foreground = per_foreground
        self.holdout = holdout

    def make_source(self, split: Split) -> Source:
        """The track's training samples, the test photographs, or what is held out if anything."""
        if split == "test" or (split == "val" and self.holdout == 0):
            return PhotographsSource(self.root / "validation", "original")
        train = self.root / "train"
        if self.track == "ori":
            return PhotographsSource(train, "original", split, self.holdout)
        backgrounds = self._backgrounds("train" if split == "train" else "testval")
        return AM2kCom(train, backgrounds, split, self.holdout, self.per_foreground)

    def _backgrounds(self, half: str) -> Path:
        given = nearby(self.root, "BG-20k") if self.bg20k is None else Path(self.bg20k)
        if (given / half).is_dir():
            return given / half
        raise FileNotFoundError(
            f"{given / half} is not a folder; expected BG-20k with train/ and testval/ to compose "
            f"on; found {contents(given)}; pass its folder as bg20k, or train on the photographs "
            "with track 'ori'"
        )
