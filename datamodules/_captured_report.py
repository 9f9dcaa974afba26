"""How well prepared footage fits: figures of every frame, and what could not be done."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from mattingzoo.alignment import NOTICEABLE
from mattingzoo.io import some, write_text_atomic

#: A line for each finished frame, so that a run that goes on knows their figures.
JOURNAL = "frames.jsonl"


@dataclass
class Figures:
    """What is known of one frame.

    Attributes:
        name: Split, take and frame.
        take: The still or clip.
        matches: Features found in plate and picture; None with a fixed camera, as what follows.
        inliers: Those that agree on where the plate lies.
        error: Median distance of the inliers from there, in pixels.
        overlap: Share of the picture that the plate covers.
        gain: By how much the picture is brighter than the plate, mean over channels.
        change: Mean change of brightness that would match them, in levels of 255.
    """

    name: str
    take: str
    matches: int | None = None
    inliers: int | None = None
    error: float | None = None
    overlap: float | None = None
    gain: float = 1.0
    change: float = 0.0


class PrepareReport:
    """What came of every frame of a job, of earlier runs included.

    Args:
        folder: Where the job writes.
        settings: All that decides what it makes, in plain types.

    Attributes:
        figures: Of finished frames, by name.
        refused: Why a frame's plate could not be aligned, by name.
        failed: What is wrong with a frame's files, by name.
        finished: Whether the job came to its end.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.figures = {one.name: one for one in _read(folder / JOURNAL)}
        self.refused: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.finished = False
        self._journal = folder / JOURNAL

    def add(self, figures: Figures) -> None:
        """Take in a finished frame; on disk before the next begins."""
        self.figures[figures.name] = figures
        torn = self._journal.exists() and not self._journal.read_bytes().endswith(b"\n")
        with self._journal.open("a") as file:
            file.write(("\n" if torn else "") + json.dumps(asdict(figures)) + "\n")

    def problems(self) -> list[str]:
        """A sentence for each frame that was not made."""
        return [f"{name}: {text}" for name, text in {**self.refused, **self.failed}.items()]

    def notes(self) -> list[str]:
        """What to know of frames that were made."""
        differing = [one for one in self.figures.values() if one.change > NOTICEABLE]
        if not differing:
            return []
        worst = max(differing, key=lambda one: one.change)
        done = " (corrected)" if self.settings["match_exposure"] else ""
        way_out = "" if done else "; lock the camera's exposure, or give --match-exposure"
        return [
            f"the plate of {len(differing)} of {len(self.figures)} frames is darker or brighter "
            f"than its picture{done}, most in {worst.name}: by {worst.change:.1f} levels of 255, "
            f"gain {worst.gain:.2f}{way_out}"
        ]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        content = {
            "finished": self.finished,
            "settings": self.settings,
            "takes": {take: _summary(of) for take, of in self._by_take().items()},
            "notes": self.notes(),
            "refused": self.refused,
            "failed": self.failed,
        }
        write_text_atomic(path, json.dumps(content, indent=1) + "\n")

    def table(self) -> Table:
        """A row for each take: how many frames, and how well their plates fit."""
        view = Table("take", "frames", "inliers", "error px", "overlap", "brightness")
        for column in view.columns[1:]:
            column.justify = "right"
        for take, of in self._by_take().items():
            row = _summary(of)
            aligned = [
                "-" if row[key] is None else text.format(row[key])
                for key, text in (("inliers", "{:.0f}"), ("error", "{:.2f}"), ("overlap", "{:.0%}"))
            ]
            view.add_row(take, str(row["frames"]), *aligned, f"{row['change']:.1f}")
        lost = some([*self.refused, *self.failed], 5)
        counts = f"{len(self.refused)} frames refused, {len(self.failed)} damaged"
        view.caption = (
            f"medians, but the worst of overlap and brightness (levels of 255)\n{counts}"
            + (f": {lost}" if lost else "")
        )
        return view

    def _by_take(self) -> dict[str, list[Figures]]:
        takes: dict[str, list[Figures]] = {}
        for one in self.figures.values():
            takes.setdefault(one.take, []).append(one)
        return takes


def _summary(frames: Sequence[Figures]) -> dict[str, Any]:
    inliers, errors, overlaps = (
        [value for one in frames if (value := getattr(one, key)) is not None]
        for key in ("inliers", "error", "overlap")
    )
    return {
        "frames": len(frames),
        "inliers": median(inliers) if inliers else None,
        "error": median(errors) if errors else None,
        "overlap": min(overlaps, default=None),
        "change": max(one.change for one in frames),
    }


def _read(journal: Path) -> list[Figures]:
    """Finished frames; a torn last line is dropped."""
    found = []
    for line in journal.read_text().splitlines() if journal.exists() else ():
        try:
            found.append(Figures(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found
