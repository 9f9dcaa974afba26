"""Building a set in the layout of COCO-Matting from segmentations and any matting network."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from mattingzoo.datamodules._coco_annotations import Annotations, open_annotations
from mattingzoo.datamodules._coco_fusion import (
    ACCESSORIES,
    PERSON,
    Fused,
    FusionSettings,
    fuse,
    kernel_size,
    overlap,
    trimap_from_mask,
)
from mattingzoo.datamodules._coco_layout import PAIRS, MatteName, Photographs
from mattingzoo.datamodules._coco_report import BuildReport, comparison, read_list
from mattingzoo.datamodules._settings import check_unchanged
from mattingzoo.io import BadFileError, Picture, bad_file, read_rgb, write_png
from mattingzoo.weights import sha256

#: From an image [H, W, 3] and a trimap [H, W] of 0, 128 and 255 to a matte [H, W], all 8 bits.
Matte = Callable[[Picture, Picture], Picture]


@dataclass(frozen=True)
class BuildSettings:
    """All that decides what is built; a folder holds what was built by one of them.

    Attributes:
        fusion: Which accessory belongs to whom.
        eta: A trimap's kernel is sqrt(mask area) / eta; 12 is the paper's.
        smallest_kernel: Lower limit of the kernel's diameter in pixels.
        largest_kernel: Upper limit of it.
        min_area: Filter: fewest pixels of a mask; 0 keeps all.
        min_agreement: Filter: smallest intersection over union of the mask and alpha > 0.5; 0
            keeps all.
        need_foreground: Filter: leave out what has no known foreground.
    """

    fusion: FusionSettings = field(default_factory=FusionSettings)
    eta: float = 12
    smallest_kernel: int = 4
    largest_kernel: int = 199
    min_area: int = 0
    min_agreement: float = 0.0
    need_foreground: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not self.eta > 0:
            raise ValueError(f"eta must be positive, got {self.eta}; the paper's is 12")
        if not 1 <= self.smallest_kernel <= self.largest_kernel:
            raise ValueError(
                f"smallest_kernel must be at least 1 and at most largest_kernel, got "
                f"{self.smallest_kernel} and {self.largest_kernel}"
            )
        if not 0 <= self.min_agreement <= 1:
            raise ValueError(f"min_agreement must lie in [0, 1], got {self.min_agreement}")


def build(
    annotations: Path,
    out: Path,
    coco: Path | None,
    matte: Matte | None,
    about: dict[str, Any],
    settings: BuildSettings | None = None,
    panoptic: Path | None = None,
    compare: Path | None = None,
    limit: int = 0,
    progress: bool = True,
) -> BuildReport:
    """Rebuild COCO-Matting: accessory fusion, trimaps, mattes by a network.

    Stop it at any time and run it again: finished files are kept, files are written whole or not
    at all. A bad file costs its own image only. The numbers in names count the persons that fusion
    found, so they do not depend on filters or failures, which leave gaps.

    Args:
        annotations: JSON of COCO instances or panoptic (COCONut).
        out: Folder for ``COCO-Matting_trimap_alpha/`` and ``report.json``; made if need be.
        coco: Folder that holds ``train2017`` or ``unlabeled2017``, or both.
        matte: The network. None of both only counts what fusion gives, and writes ``fusion.json``.
        about: The network's name and weights, for the report.
        settings: What else decides about the result; None takes the defaults.
        panoptic: Folder of the PNGs of a panoptic file; None takes the one beside it.
        compare: List of names to compare with, as the release's; a file name to a line, after a
            tab if there is more.
        limit: Do only so many images, those of the lowest ids; 0 does all.
        progress: Show a progress bar.

    Returns:
        What was written and what was left out, by step.

    Raises:
        FileNotFoundError: If a folder is not there.
        BadFileError: If the annotations are not what they should be.
        ValueError: If ``out`` was begun with other settings, or one of coco and matte is lacking.
    """
    if (coco is None) != (matte is None):
        lacking = "coco" if coco is None else "matte"
        raise ValueError(f"mattes need both photographs and a network, {lacking} is not given")
    settings = settings or BuildSettings()
    listed = None if compare is None else read_list(compare)
    photographs = None if coco is None else Photographs(coco)
    job = _Job(open_annotations(annotations, panoptic), photographs, out / PAIRS, matte, settings)
    plain = {"annotations_sha256": sha256(annotations), **about, **asdict(settings)}
    job.report.settings = json.loads(json.dumps(plain))
    file = out / ("fusion.json" if matte is None else "report.json")
    if matte is not None:
        check_unchanged(file, job.report.settings)
        job.folder.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    job.report.write(file)
    ids = job.annotations.ids[: limit or None]
    try:
        for image_id in track(ids, "building", disable=not progress):
            job.run(image_id)
        job.report.finished = True
    finally:
        if listed is not None:
            job.report.comparison = comparison(job.names, listed, ids)
        job.report.write(file)
    return job.report


class _Job:
    """One run over the images of an annotation file."""

    def __init__(
        self,
        annotations: Annotations,
        photographs: Photographs | None,
        folder: Path,
        matte: Matte | None,
        settings: BuildSettings,
    ) -> None:
        self.annotations = annotations
        self.photographs = photographs
        self.folder = folder
        self.matte = matte
        self.settings = settings
        self.report = BuildReport({})
        self.names: list[MatteName] = []

    def run(self, image_id: int) -> None:
        """Fuse and matte the persons of one image; note what could not be done."""
        try:
            mattes = self._fuse(image_id)
            names = [MatteName(image_id, fused.names, n) for n, fused in enumerate(mattes)]
            self.names += names
            if self.matte is not None and self.photographs is not None:
                todo = self._todo(dict(zip(names, mattes, strict=True)))
                self._write_all(image_id, todo, self.matte, self.photographs)
        except BadFileError as error:
            self.report.counts["failed"] += 1
            self.report.failures.append(str(error))

    def _fuse(self, image_id: int) -> Sequence[Fused]:
        counts = self.report.counts
        counts["images"] += 1
        single = {category for category, crowd in self.annotations.kinds(image_id) if not crowd}
        lacking = "person" if PERSON not in single else "accessory"
        if lacking == "person" or not single & ACCESSORIES.keys():
            counts[f"images_without_{lacking}"] += 1
            return []
        segments = self.annotations.segments(image_id, {PERSON, *ACCESSORIES})
        result = fuse(segments, self.settings.fusion)
        counts.update(result.counts)
        return result.mattes

    def _todo(self, mattes: dict[MatteName, Fused]) -> dict[Path, Fused]:
        """Where to write what is neither finished nor too small."""
        todo = {}
        for name, fused in mattes.items():
            path = self.folder / f"{name}.png"
            if path.exists():
                self.report.counts["kept"] += 1
            elif np.count_nonzero(fused.mask) < self.settings.min_area:
                self.report.counts["small"] += 1
            else:
                todo[path] = fused
        return todo

    def _write_all(
        self, image_id: int, todo: dict[Path, Fused], matte: Matte, photographs: Photographs
    ) -> None:
        if not todo:
            return
        image = _photograph(photographs, image_id, next(iter(todo.values())))
        for path, fused in todo.items():
            pair = self._pair(image, fused, matte)
            if pair is not None:
                write_png(path, pair)
                self.report.counts["written"] += 1

    def _pair(self, image: Picture, fused: Fused, matte: Matte) -> Picture | None:
        """Trimap and alpha side by side; None if a filter is against it."""
        s = self.settings
        area = int(np.count_nonzero(fused.mask))
        kernel = kernel_size(area, s.eta, s.smallest_kernel, s.largest_kernel)
        trimap = trimap_from_mask(fused.mask, kernel)
        if s.need_foreground and not (trimap == 255).any():
            self.report.counts["no_foreground"] += 1
            return None
        alpha = matte(image, trimap)
        if alpha.shape != trimap.shape or alpha.dtype != np.uint8:
            raise ValueError(
                f"matte must give uint8 {trimap.shape}, gave {alpha.dtype} {alpha.shape}"
            )
        alpha = np.where(trimap == 128, alpha, trimap)
        if overlap(alpha > 127, fused.mask) < s.min_agreement:
            self.report.counts["disagreeing"] += 1
            return None
        return np.hstack([trimap, alpha])


def _photograph(photographs: Photographs, image_id: int, fused: Fused) -> Picture:
    path = photographs.find(image_id)
    if path is None:
        raise bad_file(
            photographs.coco / f"{image_id:012d}.jpg",
            "no such photograph",
            "one in train2017 or unlabeled2017",
            "get the photographs that are annotated",
        )
    image = read_rgb(path, upright=False)  # annotations lie over the stored pixels
    if image.shape[:2] != fused.mask.shape:
        (height, width), (rows, columns) = image.shape[:2], fused.mask.shape
        raise bad_file(
            path,
            f"{width} x {height} pixels",
            f"{columns} x {rows} as annotated",
            "take photographs and annotations of the same release",
        )
    return image
