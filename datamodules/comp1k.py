"""Composition-1k, the data set of Deep Image Matting."""

from pathlib import Path
from typing import Literal

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._comp1k_layout import evaluation_half, training_half
from mattingzoo.datamodules._compose import ComposeReport, compose_half
from mattingzoo.datamodules._half_check import CheckReport, check_halves
from mattingzoo.datamodules._half_sources import CompositesSource, LayersSource
from mattingzoo.datamodules._pairs import held_out
from mattingzoo.dataset import OnBadFile
from mattingzoo.recipe import Recipe
from mattingzoo.source import Source, Split


class Comp1kTrain(LayersSource):
    """Training pairs of Composition-1k on COCO: one sample for each line of the background list.

    Args:
        root: Folder that holds ``Training_set``.
        coco: Folder of COCO train2014; None takes ``root/train2014``.
        foregrounds: Which foregrounds of the list to take, in list order.

    Raises:
        FileNotFoundError: If a folder or any listed file is missing.
        ValueError: If the lists do not hold 100 backgrounds for each foreground.
    """

    def __init__(
        self, root: Path, coco: Path | None = None, foregrounds: slice = slice(None)
    ) -> None:
        # Foregrounds are the original photographs.
        super().__init__(training_half(root, coco), foregrounds, true_outside=True)


class Comp1kTest(CompositesSource):
    """The 1,000 composites of Composition-1k with the trimaps shipped for each.

    The native key ``background`` is there if ``Test_set/bg`` is.

    Args:
        root: Folder that holds ``Test_set``.

    Raises:
        FileNotFoundError: If composites (the message says how to make them), trimaps or layers are
            missing.
        ValueError: If the lists do not hold 20 backgrounds for each foreground.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(evaluation_half(root), true_outside=True)


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
        return Comp1kTrain(self.root, self.coco, held_out(count, self.holdout, split))


# `mattingzoo data check comp1k` and `mattingzoo data compose comp1k` look here for these.


def check(
    root: Path, coco: Path | None = None, voc: Path | None = None, progress: bool = True
) -> CheckReport:
    """Compare a copy of Composition-1k with its lists.

    Args:
        root: Folder that holds ``Training_set`` and ``Test_set``.
        coco: Folder of COCO train2014; None takes ``root/train2014``.
        voc: Folder of VOC's JPEGImages; None takes ``root/VOCdevkit/VOC2012/JPEGImages``.
        progress: Show progress bars.
    """
    halves = {
        "training": lambda: training_half(root, coco),
        "test": lambda: evaluation_half(root, voc),
    }
    return check_halves(halves, progress)


def compose(
    root: Path,
    split: Literal["train", "test"],
    coco: Path | None = None,
    voc: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> ComposeReport:
    """Write the composites and fitted backgrounds of one half of Composition-1k.

    See :func:`mattingzoo.datamodules._compose.compose_half`.

    Args:
        root: Folder that holds ``Training_set`` and ``Test_set``.
        split: Which half. Training composites are 43,100 and not needed: training composes itself.
        coco: Folder of COCO train2014; None takes ``root/train2014``.
        voc: Folder of VOC's JPEGImages; None takes ``root/VOCdevkit/VOC2012/JPEGImages``.
        workers: Processes; None takes one per core, 1 stays in this process.
        progress: Show a progress bar.

    Raises:
        FileNotFoundError: If the half or the folder of its backgrounds is not there.
        ValueError: If its lists are unusable.
    """
    half = training_half(root, coco) if split == "train" else evaluation_half(root, voc)
    return compose_half(half, workers, progress)
