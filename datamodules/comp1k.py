"""Composition-1k, the data set of Deep Image Matting."""

from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._comp1k_check import check, how_to_compose
from mattingzoo.datamodules._comp1k_layout import evaluation_half, training_half
from mattingzoo.datamodules._compose import compose
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import check_sizes, read_gray, read_rgb, read_trimap, some
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split

# `mattingzoo data check comp1k` and `mattingzoo data compose comp1k` look here for the last two.
__all__ = ["Comp1kTest", "Comp1kTrain", "Composition1k", "check", "compose"]


class Comp1kTrain(Source):
    """Training pairs of Composition-1k on COCO: one sample for each line of the background list.

    Args:
        root: Folder that holds ``Training_set``.
        coco: Folder of COCO train2014; None takes ``root/train2014``.
        foregrounds: Which foregrounds of the list to take, in list order.

    Raises:
        FileNotFoundError: If a folder or any listed file is missing.
        ValueError: If the lists do not hold 100 backgrounds for each foreground.
    """

    native = frozenset({"foreground", "alpha", "background"})
    true_outside = True  # foregrounds are the original photographs

    def __init__(
        self, root: Path, coco: Path | None = None, foregrounds: slice = slice(None)
    ) -> None:
        self.half = training_half(root, coco)
        self.half.require()
        taken = range(len(self.half.foregrounds))[foregrounds]
        each = self.half.repeats
        self.lines = [line for k in taken for line in range(k * each, (k + 1) * each)]
        self.names = [self.half.name(line) for line in self.lines]
        self.foreground_names = [self.half.stem(line) for line in self.lines]

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


class Comp1kTest(Source):
    """The 1,000 composites of Composition-1k with the trimaps shipped for each.

    The native key ``background`` is there if ``Test_set/bg`` is.

    Args:
        root: Folder that holds ``Test_set``.

    Raises:
        FileNotFoundError: If composites (the message says how to make them), trimaps or layers are
            missing.
        ValueError: If the lists do not hold 20 backgrounds for each foreground.
    """

    true_outside = True

    def __init__(self, root: Path) -> None:
        self.half = evaluation_half(root)
        with_background = self.half.fitted(0).parent.is_dir()
        self._file_of = {
            "alpha": self.half.alpha,
            "image": self.half.merged,
            "trimap": self.half.trimap,
            "foreground": self.half.foreground,
            **({"background": self.half.fitted} if with_background else {}),
        }
        self.native = frozenset(self._file_of)
        self._require()
        self.names = [self.half.name(line) for line in range(len(self.half))]
        self.foreground_names = [self.half.stem(line) for line in range(len(self.half))]

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
        """Matte, composite, trimap, foreground and, if it was kept, background."""
        return [file_of(index) for file_of in self._file_of.values()]

    def _require(self) -> None:
        half = self.half
        miscount = half.miscount()
        if miscount:
            raise ValueError(miscount)
        if not half.merged(0).parent.is_dir():
            raise FileNotFoundError(how_to_compose(half))
        files = [file_of(i) for file_of in self._file_of.values() for i in range(len(half))]
        missing = half.absent(files)
        if missing:
            raise FileNotFoundError(
                f"{half.root} lacks {some(missing)}; composites are made, and finished where they "
                f"were broken off, by: mattingzoo data compose comp1k --root {half.root}; all else "
                "belongs to the release"
            )


class Composition1k(MattingDataModule):
    """Composition-1k: 431 foregrounds on COCO to train, 50 on 20 photographs each to test.

    Content: mattes of Adobe, drawn over MS COCO (train2014) and PASCAL VOC 2012; the field calls
    it Composition-1k, or the Adobe data set. The field validates on the test set; ``holdout``
    validates on training foregrounds instead, and leaves them out of training.

    Format: the folder ``Combined_Dataset`` of the release, with ``Training_set`` and ``Test_set``,
    beside them ``train2014``. Test composites are not part of it: make them once with
    ``mattingzoo data compose comp1k``, see all that is wrong with a copy with
    ``mattingzoo data check comp1k``. EXIF orientation is ignored, as the release's script does.

    Licence: given out by Adobe on request, for research only; COCO and VOC have terms of their own.

    Citation: Xu, Price, Cohen, Huang: Deep Image Matting, CVPR 2017.

    Args:
        root: Folder that holds ``Training_set`` and ``Test_set``.
        coco: Folder of COCO train2014; None takes ``root/train2014``.
        holdout: Validate on so many training foregrounds, the last of the list; 0 validates on the
            test set.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
    """

    about = (
        "Composition-1k is given out by Adobe on request: Combined_Dataset/ with Training_set/ and "
        "Test_set/, beside them COCO's train2014/; the test composites are then made with "
        "`mattingzoo data compose comp1k --root FOLDER`."
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
        coco: str | None = None,
        holdout: int = 0,
    ) -> None:
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.coco = None if coco is None else Path(coco)
        self.holdout = holdout

    def make_source(self, split: Split) -> Source:
        """Training pairs, the 1,000 test composites, or the held-out pairs if there are any."""
        if split == "test" or (split == "val" and self.holdout == 0):
            return Comp1kTest(self.root)
        count = len(training_half(self.root, self.coco).foregrounds)
        if not 0 <= self.holdout < count:
            raise ValueError(
                f"holdout must leave some of the {count} training foregrounds, got {self.holdout}"
            )
        kept = count - self.holdout
        taken = slice(0, kept) if split == "train" else slice(kept, count)
        return Comp1kTrain(self.root, self.coco, taken)
