"""Footage with a captured background: stills and clips, each with a clean plate of its scene."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from mattingzoo.clips import FrameFiles
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._captured_layout import Take, find_takes, read_rows, splits_of
from mattingzoo.datamodules._captured_prepare import PrepareSettings, prepare
from mattingzoo.datamodules._half_check import CheckReport
from mattingzoo.datamodules._pairs import FilesSource, contents
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import BadFileError, Picture, check_sizes, some
from mattingzoo.recipe import Recipe
from mattingzoo.segmentation import RELEASED, draw, soften
from mattingzoo.source import Pictures, Source, Split
from mattingzoo.video import OFFSETS

# `mattingzoo data check captured` and `mattingzoo data prepare captured` look here.
__all__ = ["Captured", "CapturedSource", "PrepareSettings", "check", "find_takes", "prepare"]

ADOBE_INDEX = "Adobe_train_data.csv"


class CapturedSource(Source):
    """Every frame of some takes with its plate, its neighbours, and what else all takes have.

    Args:
        takes: Stills and clips.
        step: Frames between neighbours of the motion stack.
        training: Soften rough masks at random, as training does; else as the released test does.

    Raises:
        ValueError: If a segmentation or a matte is there for some takes only, or two samples would
            have one name.
    """

    natural = True

    def __init__(self, takes: Sequence[Take], step: int, training: bool = False) -> None:
        self.takes = takes
        self.step = step
        self.training = training
        self.native = frozenset({"motion", *_common_keys(takes)})
        self._frames = [(take, n) for take in takes for n in range(len(take.image))]
        self.names = [_name(take, n) for take, n in self._frames]
        self.foreground_names = [take.name for take, _ in self._frames]
        twice = sorted(name for name, times in Counter(self.names).items() if times > 1)
        if twice:
            raise ValueError(f"several frames would be called {some(twice)}; rename their files")

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one frame and what lies over it, all of one size."""
        take, number = self._frames[index]
        pictures = self.layers(index)
        if "segmentation" in pictures and take.rough:
            softness = draw(rng) if self.training else RELEASED
            pictures["segmentation"] = soften(pictures["segmentation"], softness)
        pictures["motion"] = self._motion(take, number, pictures["image"])
        return pictures

    def layers(self, index: int) -> Pictures:
        """The same as stored: without motion, and with masks not softened."""
        take, number = self._frames[index]
        pictures, files = {}, {}
        for key, clip in take.layers().items():
            own = take.number_in(clip, number)
            read = clip.rgb if key in ("image", "captured_background") else clip.gray
            pictures[key] = read([own])[0]
            files[key] = clip.file(own)
        check_sizes(pictures, files)
        return pictures

    def files(self, index: int) -> list[Any]:
        """Image, plate, segmentation and matte, as many as there are."""
        take, number = self._frames[index]
        return [clip.file(take.number_in(clip, number)) for clip in take.layers().values()]

    def _motion(self, take: Take, number: int, image: Picture) -> Picture:
        """Gray neighbours [H, W, 4]; beyond an end of a clip the frame at that end."""
        if take.motion is not None:
            frames = take.motion.rgb(range(len(take.motion)))
        else:
            last = len(take.image) - 1
            wanted = [min(max(number + k * self.step, 0), last) for k in OFFSETS]
            others = sorted(set(wanted) - {number})
            known = {number: image, **dict(zip(others, take.image.rgb(others), strict=True))}
            frames = [known[n] for n in wanted]
        files = {str(k): take.image.path for k in range(-1, len(frames))}
        check_sizes(dict(zip(files, [image, *frames], strict=True)), files)
        return np.dstack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


class Captured(MattingDataModule):
    """Footage with a captured background: stills and clips, each with a clean plate.

    Content: your own, or the release of Background Matting. Keys are image, captured_background,
    motion (gray frames 2 and 1 steps before and 1 and 2 after, the nearest there is beyond an end;
    a still four times itself), segmentation and alpha where there are files of them. Without
    alpha there is nothing to score, but training without truth and prediction go.

    Format of your own: ``root/{train,val,test}`` where they exist, else ``root`` for every split,
    each with ``image/`` and ``captured_background/`` and, if you have them, ``segmentation/``
    (soft) and ``alpha/``. In ``image/`` a picture is a still; a folder of frames or a video file is
    a clip. Partners have one name: ``captured_background/NAME.png`` is the plate of the whole clip,
    ``captured_background/NAME/`` one for each frame, as hand-held footage needs it.
    ``mattingzoo data prepare captured`` makes plates that fit and soft segmentations.

    Format of the release: ``Video_data_train.csv``, or else ``Captured_Data/SUBSET/train``, to
    train on; ``sample_data/input`` to predict. Its masks are softened while loading. It has no
    truth: train with ``--trainer.limit_val_batches 0``. With ``subset: adobe`` the composites of
    ``Data_adobe`` (foreground, alpha and background; composed anew) to train stage 1 on.

    Licence: of the release CC BY-NC-SA 4.0.

    Citation: Sengupta, Jayaram, Curless, Seitz, Kemelmacher-Shlizerman: Background Matting: The
    World is Your Green Screen, CVPR 2020.

    Args:
        root: Folder of the footage.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
        motion_step: Frames between neighbours of the motion stack; the release takes 20.
        subset: Of the release, ``fixed-camera``, ``hand-held`` or ``adobe``.
    """

    about = (
        "Your own footage: image/ and captured_background/, optionally segmentation/ and alpha/, "
        "with the same names (a picture, a folder of frames or a video each), in train/, val/ and "
        "test/ if you have splits. Or the release of Background Matting, Captured_Data/ and "
        "sample_data/, linked from github.com/senguptaumd/Background-Matting."
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
        motion_step: int = 20,
        subset: str = "fixed-camera",
    ) -> None:
        if motion_step < 1:
            raise ValueError(f"motion_step must be at least 1 frame, got {motion_step}")
        if subset not in ("fixed-camera", "hand-held", "adobe"):
            raise ValueError(f"subset must be fixed-camera, hand-held or adobe, got {subset!r}")
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.motion_step = motion_step
        self.subset = subset

    def make_source(self, split: Split) -> Source:
        """All frames of the split's takes."""
        if self.subset == "adobe":
            return _adobe(self.root, split)
        takes = find_takes(self.root, split, self.subset)
        return CapturedSource(takes, self.motion_step, training=split == "train")


def check(root: Path, progress: bool = True) -> CheckReport:
    """Decode every picture of every split there is, and compare sizes and numbers of frames.

    Args:
        root: Folder of the footage, in either layout.
        progress: Show progress bars.
    """
    report = CheckReport()
    for split in splits_of(root):
        try:
            source = CapturedSource(find_takes(root, split), step=1)
        except (ValueError, OSError) as error:
            report.problems.append(str(error))
            continue
        report.counts[f"{split} takes"] = len(source.takes)
        report.counts[f"{split} frames"] = len(source)
        report.problems += _damage(source, f"checking {split}", progress)
    return report


def _damage(source: CapturedSource, what: str, progress: bool) -> list[str]:
    def look(index: int) -> str | None:
        try:
            source.layers(index)
        except BadFileError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        found = pool.map(look, range(len(source)))
        problems = track(found, what, total=len(source), disable=not progress)
        return list(dict.fromkeys(problem for problem in problems if problem))


def _adobe(root: Path, split: Split) -> Source:
    """Stage 1's composites: foreground; alpha; composite; background."""
    index = root / "Data_adobe" / ADOBE_INDEX
    if split != "train" or not index.is_file():
        raise ValueError(
            f"subset adobe is {index} to train on, there is no {split!r} split of it; found "
            f"{contents(root)}"
        )
    # Its paths are relative to the root, not to the list.
    rows = read_rows(index, (4,), root)
    keys = ("foreground", "alpha", "background")
    files = [dict(zip(keys, (row[0], row[1], row[3]), strict=True)) for row in rows]
    names = [row[2].stem.removesuffix("_comp") for row in rows]
    return FilesSource(names, files, [row[0].stem for row in rows])


def _common_keys(takes: Sequence[Take]) -> set[str]:
    """Keys that all takes have."""
    have = [take.layers().keys() for take in takes]
    for key in set().union(*have):
        lacking = [take.name for take, keys in zip(takes, have, strict=True) if key not in keys]
        if lacking:
            raise ValueError(
                f"{some(lacking)} have no {key}, others have; give every take one, or none"
            )
    return set(have[0])


def _name(take: Take, number: int) -> str:
    """What a frame's results are called."""
    if isinstance(take.image, FrameFiles) and len(take.image) == 1:
        return take.name
    frame = take.image.frame_names[number].removesuffix("_img")
    return f"{take.name}_{frame}"
