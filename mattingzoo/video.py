"""Clips frame by frame: damaged frames replaced, neighbours at hand, memory bounded."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from mattingzoo.clips import Clip
from mattingzoo.io import BadFileError, Picture

#: Frames that a motion stack shows, in units of its step.
OFFSETS = (-2, -1, 1, 2)


@dataclass
class Damage:
    """What was wrong with the frames of a clip.

    Attributes:
        frames: What is wrong with each, by its number.
    """

    frames: dict[int, str] = field(default_factory=dict)

    def note(self) -> str:
        """One sentence for people; empty if nothing was wrong."""
        if not self.frames:
            return ""
        numbers = ", ".join(map(str, sorted(self.frames)[:10]))
        more = ", ..." if len(self.frames) > 10 else ""
        first = self.frames[min(self.frames)]
        return (
            f"{len(self.frames)} frames are damaged ({numbers}{more}), the nearest good one before "
            f"stands in for each: {first}"
        )


def whole_frames(clip: Clip, damage: Damage) -> Iterator[Picture]:
    """All frames of a clip, for a damaged one the one before it, so that time is kept.

    Frames that are damaged at the very beginning show the first good one.

    Args:
        clip: The clip.
        damage: Takes in what was wrong.

    Raises:
        BadFileError: If no frame can be read.
    """
    last: Picture | None = None
    leading = 0
    for number, frame in clip.stream():
        if isinstance(frame, BadFileError):
            damage.frames[number] = str(frame)
            if last is None:
                leading += 1
            else:
                yield last
            continue
        yield from (frame for _ in range(leading))
        leading, last = 0, frame
        yield frame
    if last is None:
        reasons = "; ".join(list(damage.frames.values())[:1]) or "it holds no frame"
        raise BadFileError(f"{clip.path}: no frame can be read: {reasons}")


def with_motion(
    frames: Iterable[Picture], step: int | None
) -> Iterator[tuple[Picture, Picture | None]]:
    """Each frame [H, W, 3] with its motion stack [H, W, 4].

    A stack shows in gray the frames 2 and 1 steps before and 1 and 2 after; beyond an end of the
    clip the frame at that end. Holds 2 · step + 1 frames, and the gray of twice as many.

    Args:
        frames: Of one clip, all of one size.
        step: Frames between neighbours; None gives no stacks and holds one frame.
    """
    if step is None:
        yield from ((frame, None) for frame in frames)
        return
    reach = 2 * step
    waiting: deque[Picture] = deque()
    grays: deque[Picture] = deque()  # those around the first that waits, from ``start`` on
    number = start = 0

    def next_one() -> tuple[Picture, Picture]:
        nonlocal number, start
        last = start + len(grays) - 1
        chosen = [min(max(number + k * step, 0), last) - start for k in OFFSETS]
        stack = np.dstack([grays[k] for k in chosen])
        number += 1
        while start < number - reach:
            grays.popleft()
            start += 1
        return waiting.popleft(), stack

    for frame in frames:
        waiting.append(frame)
        grays.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)))
        if len(waiting) > reach:
            yield next_one()
    while waiting:
        yield next_one()
