"""Distinctions-646, the data set of HAttMatting."""

import re
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._compose import ComposeReport, compose_half
from mattingzoo.datamodules._half import Half
from mattingzoo.datamodules._half_check import CheckReport, check_halves, differing_sizes
from mattingzoo.datamodules._half_sources import CompositesSource, LayersSource
from mattingzoo.datamodules._pairs import (
    FilesSource,
    contents,
    find_folder,
    held_out,
    in_natural_order,
    match,
    nearby,
)
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import list_images, read_names
from mattingzoo.recipe import Recipe
from mattingzoo.source import Source, Split

PER_TRAINING_FOREGROUND = 100  # the paper's; the authors' list has 80
PER_TEST_FOREGROUND = 20
TRAIN, TEST = ("Train_ori", "Train"), ("Test_ori", "Test")
KINDS = ("FG", "GT")  # folders of foregrounds and of mattes

# Nothing is known of the colours where alpha is 0: not taken for true, they are carried outward.
TRUE_OUTSIDE = False


class Distinctions646Composites(FilesSource):
    """Test composites as the authors' script writes them: ``Image``, ``GT``, ``FG``, ``BG``.

    The four have one name, ``STEM_N.png``, with N counted through all composites. Native keys
    ``foreground`` and ``background`` are there if their folders are.

    Args:
        folder: Folder that holds them.

    Raises:
        FileNotFoundError: If a folder is empty, or a file lacks a partner.
        ValueError: If two files of a folder have one stem.
    """

    true_outside = TRUE_OUTSIDE

    def __init__(self, folder: Path) -> None:
        keys = {"image": "Image", "alpha": "GT", "foreground": "FG", "background": "BG"}
        found = {key: find_folder(folder, name) for key, name in keys.items()}
        files = match(
            folder,
            {
                key: path.name
                for key, path in found.items()
                if key in ("image", "alpha") or path.is_dir()
            },
        )
        files.sort(key=lambda pictures: in_natural_order(pictures["image"].stem))
        names = [pictures["image"].stem for pictures in files]
        super().__init__(names, files, [_foreground_of(name) for name in names], upright=False)


class Distinctions646(MattingDataModule):
    """Distinctions-646: 596 foregrounds on COCO to train, 50 on 20 photographs each to test.

    Content: people, animals, plants, glass and more with hand-made mattes, drawn over MS COCO
    (train2014) and PASCAL VOC 2012. The field validates on the test set; ``holdout`` validates on
    training foregrounds instead, and leaves them out of training. Composites and trimaps are not
    distributed, so figures of different papers are not comparable; here trimaps are made from
    alpha, the same for everybody.

    Format: ``{Train,Test}/{FG,GT}/NAME.png``, foreground and matte of one name; ``Train_ori`` and
    ``Test_ori`` are found too, in any case. The composites, by the authors' rule
    (``utils/gen_dataset.py``), which is Adobe's bit for bit: foreground j goes onto backgrounds
    20 j to 20 j + 19, enlarged if too small, cut top left. Foregrounds are taken in natural order
    (``test_2.png`` before ``test_10.png``), backgrounds sorted by name, from the first again
    when there are too few. On the release and the whole of VOC 2012 the order is that of the
    authors' test lists; whether these leave out pictures of VOC is not known for certain.
    Lists in the root or in the half, ``fg_test.txt``, ``bg_test.txt``, ``fg_train.txt`` and
    ``bg_train.txt``, one name to a line, replace all of this; the authors' come with their
    repository, and give 80 backgrounds to a training foreground, not the paper's 100.

    Test composites are taken from ``Test/{Image,GT,FG,BG}`` if the authors' script made them, else
    from ``Test/merged`` if ``mattingzoo data compose distinctions646`` did, else made while
    loading: the same pictures. What is wrong with a copy says ``mattingzoo data check
    distinctions646``. EXIF orientation is ignored.

    Licence: not commercial; COCO and VOC have terms of their own.

    Citation: Qiao, Liu, Yang, Zhou, Xu, Zhang, Wei: Attention-Guided Hierarchical Structure
    Aggregation for Image Matting, CVPR 2020.

    Args:
        root: Folder that holds ``Train`` and ``Test``.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
        coco: Folder of COCO train2014; None takes ``train2014`` in the root, beside it, or in a
            data set beside it.
        voc: Folder of VOC's JPEGImages; None takes ``VOCdevkit/VOC2012/JPEGImages`` alike.
        per_foreground: Backgrounds of a training foreground; None takes what the list has, else
            100.
        holdout: Validate on so many training foregrounds, the last ones; 0 validates on the test
            set.
        train_folder: Folder of the training half; None finds it.
        test_folder: Folder of the test half; None finds it.
        fg_folder: Folder of foregrounds in both, in any case.
        gt_folder: Folder of mattes in both, in any case.
    """

    about = (
        "Distinctions-646 comes from github.com/yuhaoliu7456/CVPR2020-HAttMatting: Train/ and "
        "Test/ with FG/ and GT/ (NAME.png in both), to be composed on COCO's train2014/ and on "
        "VOCdevkit/VOC2012/JPEGImages/."
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
        voc: str | None = None,
        per_foreground: int | None = None,
        holdout: int = 0,
        train_folder: str | None = None,
        test_folder: str | None = None,
        fg_folder: str = KINDS[0],
        gt_folder: str = KINDS[1],
    ) -> None:
        if per_foreground is not None and per_foreground < 1:
            raise ValueError(f"per_foreground must be at least 1, got {per_foreground}")
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.coco = None if coco is None else Path(coco)
        self.voc = None if voc is None else Path(voc)
        self.per_foreground = per_foreground
        self.holdout = holdout
        self.train_folders = TRAIN if train_folder is None else (train_folder,)
        self.test_folders = TEST if test_folder is None else (test_folder,)
        self.kinds = (fg_folder, gt_folder)

    def make_source(self, split: Split) -> Source:
        """Training pairs, the 1,000 test composites, or the held-out pairs if there are any."""
        if split == "test" or (split == "val" and self.holdout == 0):
            return self._test_source()
        half = training_half(
            self.root, self.coco, self.per_foreground, self.train_folders, self.kinds
        )
        taken = held_out(len(half.foregrounds), self.holdout, split)
        return LayersSource(half, taken, TRUE_OUTSIDE)

    def _test_source(self) -> Source:
        composed = _composed(self.root, self.test_folders)
        if composed is not None:
            return Distinctions646Composites(composed)
        half = evaluation_half(self.root, self.voc, self.test_folders, self.kinds)
        if half.merged(0).parent.is_dir():
            return CompositesSource(half, TRUE_OUTSIDE)
        return LayersSource(half, true_outside=TRUE_OUTSIDE)


def training_half(
    root: Path,
    coco: Path | None = None,
    per_foreground: int | None = None,
    folders: tuple[str, ...] = TRAIN,
    kinds: tuple[str, str] = KINDS,
) -> Half:
    """The training half; arguments as in :class:`Distinctions646`.

    Raises:
        FileNotFoundError: If the half is not there, or the folder of backgrounds is empty.
        ValueError: If the half holds composites in place of foregrounds.
        mattingzoo.io.BadFileError: If a list is unreadable or holds other than plain names.
    """
    backgrounds = coco or nearby(root, "train2014")
    return _half(root, "train", folders, kinds, per_foreground, backgrounds, "coco")


def evaluation_half(
    root: Path,
    voc: Path | None = None,
    folders: tuple[str, ...] = TEST,
    kinds: tuple[str, str] = KINDS,
) -> Half:
    """The test half; arguments as in :class:`Distinctions646`.

    Raises:
        FileNotFoundError: If the half is not there, or the folder of backgrounds is empty.
        ValueError: If the half holds composites in place of foregrounds.
        mattingzoo.io.BadFileError: If a list is unreadable or holds other than plain names.
    """
    backgrounds = voc or nearby(root, "VOCdevkit/VOC2012/JPEGImages")
    return _half(root, "test", folders, kinds, PER_TEST_FOREGROUND, backgrounds, "voc")


# `mattingzoo data check distinctions646` and `mattingzoo data compose ...` look here for these.


def check(
    root: Path, coco: Path | None = None, voc: Path | None = None, progress: bool = True
) -> CheckReport:
    """Look for missing and surplus files, lists of the wrong length, layers that differ in size.

    Args:
        root: Folder that holds ``Train`` and ``Test``.
        coco: Folder of COCO train2014; None finds it as :class:`Distinctions646` does.
        voc: Folder of VOC's JPEGImages; None finds it alike.
        progress: Show progress bars.
    """
    halves = {"training": lambda: training_half(root, coco)}
    composed = _composed(root, TEST)
    if composed is None:
        return check_halves({**halves, "test": lambda: evaluation_half(root, voc)}, progress)
    report = check_halves(halves, progress)
    try:
        source = Distinctions646Composites(composed)
    except (FileNotFoundError, ValueError) as error:
        report.problems.append(str(error))
        return report
    report.counts["test foregrounds"] = len(set(source.foreground_names))
    report.counts["test composites"] = len(source)
    sets = [source.files(i) for i in range(len(source))]
    pairs = [(image, layer) for image, *layers in sets for layer in layers]
    report.problems += differing_sizes(root, pairs, composed, progress)
    return report


def compose(
    root: Path,
    split: Literal["train", "test"],
    coco: Path | None = None,
    voc: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> ComposeReport:
    """Write the composites and fitted backgrounds of one half, into ``merged`` and ``bg``.

    Not needed, neither to train nor to test: both compose while loading; this saves the time when
    many models are scored. See :func:`mattingzoo.datamodules._compose.compose_half`.

    Args:
        root: Folder that holds ``Train`` and ``Test``.
        split: Which half.
        coco: Folder of COCO train2014; None finds it as :class:`Distinctions646` does.
        voc: Folder of VOC's JPEGImages; None finds it alike.
        workers: Processes; None takes one per core, 1 stays in this process.
        progress: Show a progress bar.

    Raises:
        FileNotFoundError: If the half or the folder of its backgrounds is not there.
        ValueError: If its lists are unusable, or the authors' script has composed it.
    """
    half = training_half(root, coco) if split == "train" else evaluation_half(root, voc)
    return compose_half(half, workers, progress)


def _half(
    root: Path,
    prefix: str,
    folders: tuple[str, ...],
    kinds: tuple[str, str],
    repeats: int | None,
    background_folder: Path,
    option: str,
) -> Half:
    foreground_folder, alpha_folder = _originals(root, prefix, folders, kinds)
    folder = foreground_folder.parent
    fg_list, bg_list = (_list(root, folder, f"{kind}_{prefix}.txt") for kind in ("fg", "bg"))
    if fg_list is None:
        names = [path.name for path in list_images(foreground_folder)]
        foregrounds = sorted(names, key=in_natural_order)
    else:
        foregrounds = read_names(fg_list)
    if bg_list is None:
        repeats = repeats or PER_TRAINING_FOREGROUND
        backgrounds = _in_turn(background_folder, len(foregrounds) * repeats)
    else:
        backgrounds = read_names(bg_list)
        repeats = repeats or max(len(backgrounds) // max(len(foregrounds), 1), 1)
    return Half(
        root=root,
        folder=folder,
        foregrounds=foregrounds,
        backgrounds=backgrounds,
        repeats=repeats,
        background_folder=background_folder,
        foreground_list=fg_list or foreground_folder,
        background_list=bg_list,
        dataset="distinctions646",
        option=option,
        kinds=(foreground_folder.name, alpha_folder.name),
        on_the_fly=True,
    )


def _originals(
    root: Path, prefix: str, folders: tuple[str, ...], kinds: tuple[str, str]
) -> list[Path]:
    """The folders of foregrounds and mattes."""
    folder = find_folder(root, *folders)
    found = [find_folder(folder, kind) for kind in kinds]
    lacking = [path for path in found if not path.is_dir()]
    if lacking:
        halves = " or ".join(f"{name}/" for name in folders)
        raise FileNotFoundError(
            f"{lacking[0]} is not a folder; expected {kinds[0]}/ and {kinds[1]}/ in {halves} of "
            f"{root}; found {contents(folder if folder.is_dir() else root)}; pass the folder of "
            f"both halves as root, or the names of yours as {prefix}_folder, fg_folder, gt_folder"
        )
    if find_folder(folder, "Image").is_dir():
        raise ValueError(
            f"{folder} holds composites, Image/ and its layers as the authors' script writes them; "
            f"expected foregrounds not yet composed; pass their folder as {prefix}_folder"
        )
    return found


def _composed(root: Path, folders: tuple[str, ...]) -> Path | None:
    """The test folder that holds the authors' composites, if one does."""
    for name in reversed(folders):  # they are written beside the originals, into Test
        folder = find_folder(root, name)
        if find_folder(folder, "Image").is_dir():
            return folder
    return None


def _list(root: Path, folder: Path, name: str) -> Path | None:
    return next((path for path in (root / name, folder / name) if path.is_file()), None)


def _in_turn(folder: Path, count: int) -> list[str]:
    """Names of a folder's pictures, sorted, over and over; none if there is no folder."""
    if not folder.is_dir():
        return []
    names = [path.name for path in list_images(folder)]
    if not names:
        raise FileNotFoundError(
            f"{folder} holds no pictures to compose on; expected PNG, JPEG, WebP or TIFF; found "
            f"{contents(folder)}"
        )
    return list(islice(cycle(names), count))


def _foreground_of(name: str) -> str:
    """What a composite of the authors' shows, by its number: 20 follow one another."""
    counted = re.fullmatch(r"(.*)_([0-9]+)", name)
    return name if counted is None else f"{counted[1]}_{int(counted[2]) // PER_TEST_FOREGROUND}"
