"""The public composition of Adobe's script, bit for bit, as a job that makes its files."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from mattingzoo.adobe import adobe_composite
from mattingzoo.datamodules._half import Half
from mattingzoo.io import (
    BadFileError,
    check_sizes,
    read_gray,
    read_rgb,
    write_png,
)


@dataclass
class ComposeReport:
    """What a composition job did."""

    written: int = 0
    skipped: int = 0  # finished by an earlier run
    failures: list[str] = field(default_factory=list)  # one message for each bad file


def compose_half(half: Half, workers: int | None = None, progress: bool = True) -> ComposeReport:
    """Write ``merged/NAME_I.png`` and ``bg/NAME_I.png`` of one half of a composed data set.

    Stop it at any time and run it again: files are written whole or not at all, and finished
    composites are left out. A bad file costs its own composites only. Test trimaps belong to the
    release and are not made here.

    Args:
        half: What to compose, and where its files lie.
        workers: Processes; None takes one per core, 1 stays in this process.
        progress: Show a progress bar.

    Returns:
        How many were written and left out, and what failed; nothing failed if that is empty.

    Raises:
        FileNotFoundError: If the folder of its backgrounds is not there.
        ValueError: If its lists are unusable.
    """
    miscount = half.miscount()
    if miscount:
        raise ValueError(miscount)
    if not half.background_folder.is_dir():
        listed = f"listed in {half.background_list}" if half.background_list else "to compose with"
        raise FileNotFoundError(
            f"{half.background_folder} is not a folder; expected the pictures {listed}; "
            f"pass their folder as {half.option}"
        )
    for folder in {half.merged(0).parent, half.fitted(0).parent}:
        folder.mkdir(exist_ok=True)
        _sweep(folder)
    todo = [job for job in (_Job.of(half, i) for i in range(len(half))) if not job.is_done()]
    report = ComposeReport(skipped=len(half) - len(todo))
    with _each(todo, workers or os.cpu_count() or 1) as messages:
        what = f"composing {half.folder.name}"
        for message in track(messages, what, total=len(todo), disable=not progress):
            if message is None:
                report.written += 1
            else:
                report.failures.append(message)
    report.failures.sort()
    return report


class _Job(NamedTuple):
    """The files of one composite: three to read, two to write."""

    foreground: Path
    alpha: Path
    background: Path
    merged: Path
    fitted: Path

    @classmethod
    def of(cls, half: Half, i: int) -> "_Job":
        layers = (half.foreground(i), half.alpha(i), half.background(i))
        return cls(*layers, half.merged(i), half.fitted(i))

    def is_done(self) -> bool:
        return self.merged.exists() and self.fitted.exists()


def _run(job: _Job) -> str | None:
    """Make the files of one composite; what was wrong, or None."""
    try:
        # The script knows nothing of EXIF: what counts is how the pixels are stored.
        foreground = read_rgb(job.foreground, upright=False)
        alpha = read_gray(job.alpha, upright=False)
        check_sizes(
            {"foreground": foreground, "alpha": alpha},
            {"foreground": job.foreground, "alpha": job.alpha},
        )
        background = read_rgb(job.background, upright=False)
    except BadFileError as error:
        return f"{job.merged.stem}: {error}"
    image, fitted = adobe_composite(foreground, alpha, background)
    write_png(job.fitted, fitted)
    write_png(job.merged, image)
    return None


@contextmanager
def _each(jobs: list[_Job], workers: int) -> Iterator[Iterator[str | None]]:
    """Results in the order they are ready, from processes that are not kept after an error."""
    if workers == 1:
        yield map(_run, jobs)
        return
    # Not forked: the caller may have threads of torch or OpenCV, which do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_run, job) for job in jobs]
        try:
            yield (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(cancel_futures=True)


def _sweep(folder: Path) -> None:
    """Remove what a killed job left half-written; not what another one may still be writing."""
    for partial in folder.glob(".*.tmp"):
        if time.time() - partial.stat().st_mtime > 3600:
            partial.unlink(missing_ok=True)
