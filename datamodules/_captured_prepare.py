"""Making footage ready for training: plates that fit, soft segmentations, a report."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from mattingzoo.alignment import AlignmentError, align, exposure, match_exposure, warp_plate
from mattingzoo.clips import FrameFiles
from mattingzoo.datamodules._captured_layout import (
    ENDINGS,
    SPLITS,
    Take,
    find_takes,
    is_release,
    released_clips,
    released_stills,
    splits_of,
)
from mattingzoo.datamodules._captured_report import Figures, PrepareReport
from mattingzoo.datamodules._settings import check_unchanged
from mattingzoo.io import BadFileError, Picture, check_sizes, write_png
from mattingzoo.segmentation import soften

#: From an image [H, W, 3] and its plate [H, W, 3] to a matte or mask [H, W], all 8 bits.
Segment = Callable[[Picture, Picture], Picture]


@dataclass(frozen=True)
class PrepareSettings:
    """All that decides what is made; a folder holds what was made by one of them.

    Attributes:
        fixed_camera: Take plates as they are: nothing is aligned, sizes must be equal.
        match_exposure: Bring plates to the brightness of their pictures by gain and bias.
    """

    fixed_camera: bool = False
    match_exposure: bool = False


def prepare(
    root: Path,
    out: Path,
    settings: PrepareSettings,
    segment: Segment | None = None,
    about: dict[str, Any] | None = None,
    subset: str = "fixed-camera",
    progress: bool = True,
) -> PrepareReport:
    """Align, check and soften footage of either layout; the result is in the layout of one's own.

    Stop it at any time and run it again: finished frames are kept, files are written whole or not
    at all. A damaged file, or a plate that cannot be aligned, costs its own frame only.

    Args:
        root: The footage.
        out: Folder to make: ``image/``, ``captured_background/`` with a plate for each frame,
            ``segmentation/``, ``alpha/`` if there is one, ``frames.jsonl`` and ``report.json``.
            Images and mattes are linked, not copied, where the disk allows.
        settings: What to do.
        segment: Gives masks where the footage has none; None leaves them out.
        about: What ``segment`` is, for the report.
        subset: Of the release, ``fixed-camera`` or ``hand-held``.
        progress: Show a progress bar.

    Returns:
        Figures of every frame, and what was refused or damaged.

    Raises:
        FileNotFoundError: If there is no footage, or it is incomplete.
        ValueError: If ``out`` was begun with other settings, or lies inside the footage.
    """
    if out.resolve() == root.resolve():
        raise ValueError(f"out must be another folder than the footage, got {out} for both")
    takes = takes_to_prepare(root, subset)
    plain = {**asdict(settings), "segment_with": None, **(about or {})}
    file = out / "report.json"
    check_unchanged(file, plain)
    out.mkdir(parents=True, exist_ok=True)
    report = PrepareReport(out, plain)
    report.write(file)
    job = _Job(settings, segment, report)
    total = sum(len(take.image) for _, take in takes)
    try:
        with Progress(disable=not progress) as bar:
            task = bar.add_task("preparing", total=total)
            for split, take in takes:
                for _ in job.run(out, split, take):
                    bar.advance(task)
        report.finished = True
    finally:
        report.write(file)
    return report


def takes_to_prepare(root: Path, subset: str) -> list[tuple[str, Take]]:
    """All takes of either layout, each behind the folder of its split; "" without splits.

    Of the release clips, not the rows of its list: their neighbours are what motion shows.
    """
    if not is_release(root):
        has_splits = any((root / split).is_dir() for split in SPLITS)
        return [
            (split if has_splits else "", take)
            for split in splits_of(root)
            for take in find_takes(root, split)
        ]
    clips, stills = root / "Captured_Data" / subset / "train", root / "sample_data" / "input"
    found = [("train", take) for take in released_clips(clips)] if clips.is_dir() else []
    return found + [("test", t) for t in (released_stills(stills) if stills.is_dir() else [])]


class _Job:
    """One run over some takes."""

    def __init__(
        self, settings: PrepareSettings, segment: Segment | None, report: PrepareReport
    ) -> None:
        self.settings = settings
        self.segment = segment
        self.report = report

    def run(self, out: Path, split: str, take: Take) -> Iterator[None]:
        """Make the frames of one take that are not there yet; yields once for every frame."""
        targets = [_Target(out, split, take, number) for number in range(len(take.image))]
        kept = {n for n, target in enumerate(targets) if self._is_done(target)}
        yield from (None for _ in kept)
        for number, frame in take.image.stream(kept):
            if number < len(targets):  # a video may hold more frames than it states
                self._try(take, number, frame, targets[number])
                yield

    def _is_done(self, target: "_Target") -> bool:
        return target.name in self.report.figures and target.path("image").exists()

    def _try(
        self, take: Take, number: int, frame: Picture | BadFileError, target: "_Target"
    ) -> None:
        try:
            if isinstance(frame, BadFileError):
                raise frame
            self.report.add(self._make(take, number, frame, target))
        except AlignmentError as error:
            self.report.refused[target.name] = str(error)
        except BadFileError as error:
            self.report.failed[target.name] = str(error)

    def _make(self, take: Take, number: int, image: Picture, target: "_Target") -> Figures:
        """Write what belongs to one frame, the image last; it says that the frame is done."""
        plate = take.background.rgb([take.number_in(take.background, number)])[0]
        mask = self._mask(take, number, image)
        figures = Figures(target.name, take.name)
        matrix = np.eye(3)
        if self.settings.fixed_camera:
            files = {"image": take.image.file(number), "plate": take.background.path}
            check_sizes({"image": image, "plate": plate}, files)
        else:
            found = align(plate, image, mask)
            matrix = found.matrix
            figures.matches, figures.inliers = found.matches, found.inliers
            figures.error, figures.overlap = found.error, found.overlap
        aligned = warp_plate(plate, image, matrix, mask)
        if mask is None and self.segment is not None:
            mask = self.segment(image, aligned)
        light = exposure(aligned, image, mask)
        figures.gain, figures.change = float(np.mean(light.gain)), light.change
        if self.settings.match_exposure:
            plate = match_exposure(plate, light)
        target.write("captured_background", warp_plate(plate, image, matrix, mask))
        if mask is not None:
            target.write("segmentation", soften(mask))
        if take.alpha is not None:
            target.place("alpha", take.alpha.file(number), lambda: take.alpha_of(number))
        target.place("image", take.image.file(number), lambda: image)
        return figures

    def _mask(self, take: Take, number: int, image: Picture) -> Picture | None:
        if take.segmentation is None:
            return None
        mask = take.segmentation.gray([number])[0]
        files = {"image": take.image.file(number), "mask": take.segmentation.file(number)}
        check_sizes({"image": image, "mask": mask}, files)
        return mask


class _Target:
    """Where the pictures of one frame go."""

    def __init__(self, out: Path, split: str, take: Take, number: int) -> None:
        is_still = isinstance(take.image, FrameFiles) and len(take.image) == 1
        frame = take.image.frame_names[number].removesuffix(ENDINGS["image"])
        self.folder = out / split
        self.inside = Path(take.name) if is_still else Path(take.name) / frame
        self.suffix = take.image.file(number).suffix if isinstance(take.image, FrameFiles) else ""
        self.name = (Path(split) / self.inside).as_posix()

    def path(self, key: str, suffix: str = ".png") -> Path:
        """The file of a key; an image keeps its own ending unless it comes out of a video."""
        chosen = (self.suffix or suffix) if key == "image" else suffix
        # Not with_suffix: what follows a dot in a name is part of it.
        return self.folder / key / self.inside.with_name(self.inside.name + chosen)

    def write(self, key: str, picture: Picture) -> None:
        """Write a picture as PNG."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, picture)

    def place(self, key: str, source: Path, decoded: Callable[[], Picture]) -> None:
        """Link a picture's file; a frame of a video is written."""
        if not self.suffix:
            self.write(key, decoded())
            return
        path = self.path(key, source.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), path)
        except OSError:  # another disk, or one without links
            partial = path.with_name(f".{path.name}.tmp")
            shutil.copyfile(source, partial)
            partial.replace(path)
