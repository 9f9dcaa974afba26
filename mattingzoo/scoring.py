"""Scoring mattes that are files, whoever made them, against true mattes that are files."""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mattingzoo.evaluation import ImageResult
from mattingzoo.io import BadFileError, bad_file, read_gray, read_rgb, read_rgba
from mattingzoo.matching import Files, foreground_of
from mattingzoo.metrics import Region, part_scores, scores

Picture = NDArray[np.uint8]

#: What was chosen of a file that holds more than a matte.
ALPHA = "the alpha channel"
FIRST = "the first of differing channels"


@dataclass
class Scored:
    """What came of one picture.

    Attributes:
        name: As in :class:`Files`.
        result: Its scores; None if there is a problem.
        problem: Why it could not be scored, naming the files.
        truth: SHA-256 of the true matte.
        channels: What had to be chosen of ``prediction`` and ``truth``: :data:`ALPHA` or
            :data:`FIRST`; nothing for a picture of one channel.
        unknown: Pixels of the trimap that are 128.
        odd: Pixels of the trimap by value, of values that no trimap should hold.
        fills_known: Whether the prediction is 0 and 255 where the trimap is; None without a trimap.
    """

    name: str
    result: ImageResult | None = None
    problem: str = ""
    truth: str = ""
    channels: dict[str, str] = field(default_factory=dict)
    unknown: int = 0
    odd: dict[int, int] = field(default_factory=dict)
    fills_known: bool | None = None


def group(scored: Sequence[Scored], pattern: str | None) -> None:
    """Name the foreground of every scored picture.

    Args:
        scored: Sorted by name; changed in place.
        pattern: As of :func:`foreground_of`; None takes pictures of the very same true matte for
            pictures of one foreground, which is how composites are made.
    """
    first: dict[str, str] = {}
    for one in scored:
        if one.result is not None:
            own = first.setdefault(one.truth, one.name)
            one.result.foreground = own if pattern is None else foreground_of(one.name, pattern)


def score_all(
    files: Sequence[Files], workers: int, parts: bool = False
) -> Generator[Scored, None, None]:
    """Score pictures on several cores, by threads: decoding and scoring leave Python alone.

    Args:
        files: What to score.
        workers: Pictures at a time; 1 takes no threads.
        parts: Score transition, foreground and background for themselves, too; needs trimaps.

    Yields:
        What came of each picture, in the order they are ready. Nothing about one picture keeps the
        others from being scored.
    """
    if workers == 1:
        yield from (score_one(one, parts) for one in files)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in as_completed([pool.submit(score_one, one, parts) for one in files]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def score_one(files: Files, parts: bool = False) -> Scored:
    """Read and score one picture; whatever is wrong with its files is in ``problem``."""
    scored = Scored(files.name)
    try:
        _score(files, scored, parts)
    except BadFileError as error:
        scored.problem = str(error)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        scored.problem = f"{files.pred}: {type(error).__name__}: {error}"
    return scored


def _score(files: Files, scored: Scored, parts: bool) -> None:
    alpha, truth_channel = read_matte(files.alpha)
    pred, pred_channel = read_matte(files.pred)
    chosen = {"prediction": pred_channel, "truth": truth_channel}
    scored.channels = {key: channel for key, channel in chosen.items() if channel is not None}
    scored.truth = _digest([alpha])
    remedy = "bring the tool's mattes back to the size of its pictures; they are scored at no other"
    _check_size(pred, files.pred, alpha, files.alpha, remedy)
    if files.trimap is None:
        scored.result = _result(files.name, pred, alpha, None)
        return
    trimap = read_gray(files.trimap).copy()  # a copy: torch takes no read-only memory
    _check_size(trimap, files.trimap, alpha, files.alpha, "take both from the same release")
    counts = np.bincount(trimap.ravel(), minlength=256).tolist()
    scored.unknown = counts[128]
    scored.odd = {v: n for v, n in enumerate(counts) if n > 0 and v not in (0, 128, 255)}
    known = (trimap == 0) | (trimap == 255)
    scored.fills_known = bool((pred[known] == trimap[known]).all())
    if files.fill_known:
        pred = np.where(known, trimap, pred)
    scored.result = _result(files.name, pred, alpha, trimap, parts)


def _result(
    name: str, pred: Picture, alpha: Picture, trimap: Picture | None, parts: bool = False
) -> ImageResult:
    """The scores of one picture; nothing is known of the time and memory it took."""
    regions: tuple[Region, ...] = ("whole",) if trimap is None else ("unknown", "whole")
    pictures = {"pred": pred, "alpha": alpha, **({} if trimap is None else {"trimap": trimap})}
    batch = {key: torch.from_numpy(picture)[None, None] for key, picture in pictures.items()}
    # Both regions whichever is asked for, as benchmarks/run.py does: nothing may differ from it.
    values = scores(batch["pred"], batch["alpha"], batch.get("trimap"), regions)
    of_parts = part_scores(**batch) if parts else None
    looked_at = pred if trimap is None or (trimap == 128).sum() < 2 else pred[trimap == 128]
    return ImageResult(
        name=name,
        foreground=name,
        scores={key: float(value[0]) for key, value in values.items()},
        seconds=nan,
        peak_memory_mb=nan,
        content=f"{'+'.join([*pictures][1:])}:{_digest([*pictures.values()][1:])}",
        flags=["constant"] if looked_at.min() == looked_at.max() else [],
        parts=None if of_parts is None else {k: float(v[0]) for k, v in of_parts.items()},
    )


def read_matte(path: Path) -> tuple[Picture, str | None]:
    """Read a matte [H, W] in 8 bits, and what was chosen if the file holds more than a matte.

    Returns:
        The alpha channel of a cut-out, and :data:`ALPHA`. Else the first channel, and
        :data:`FIRST` if the channels differ. A gray picture that is opaque everywhere is no
        cut-out but a matte saved as RGBA.

    Raises:
        mattingzoo.io.BadFileError: If the file is missing, damaged or not a picture.
    """
    has_alpha = _has_alpha(path)
    colour, opacity = read_rgba(path) if has_alpha else (read_rgb(path), None)
    is_gray = bool((colour == colour[..., :1]).all())
    if opacity is not None and not (is_gray and bool((opacity == 255).all())):
        return opacity.copy(), ALPHA
    return colour[..., 0].copy(), None if is_gray else FIRST


def _has_alpha(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG", "WEBP", "TIFF")) as image:
            palette = image.mode == "P" and "transparency" in image.info
            return palette or image.mode in ("RGBA", "LA", "PA", "La", "RGBa")
    except Exception:
        return False  # whoever reads it says what is wrong with it


def _check_size(
    picture: Picture, path: Path, alpha: Picture, alpha_path: Path, remedy: str
) -> None:
    if picture.shape != alpha.shape:
        (rows, columns), (height, width) = picture.shape, alpha.shape
        expected = f"{width} x {height} as its true matte {alpha_path}"
        raise bad_file(path, f"{columns} x {rows} pixels", expected, remedy)


def _digest(pictures: Sequence[Picture]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(str(picture.shape).encode())
        digest.update(picture.tobytes())
    return digest.hexdigest()
