"""Clips as streams: neighbours, damaged frames, and how much of a clip is in memory at once."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattingzoo.clips import Clip, open_clip
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.video import OFFSETS, Damage, whole_frames, with_motion


def frames(count: int, first: int = 0) -> Iterator[Picture]:
    return (np.full((4, 6, 3), first + k, np.uint8) for k in range(count))


def by_hand(number: int, step: int, count: int) -> list[int]:
    return [min(max(number + k * step, 0), count - 1) for k in OFFSETS]


@pytest.mark.parametrize(("count", "step"), [(1, 20), (7, 1), (9, 3), (12, 20), (30, 4)])
def test_motion_shows_the_neighbours_of_every_frame(count: int, step: int) -> None:
    found = list(with_motion(frames(count), step))
    assert len(found) == count
    for number, (frame, motion) in enumerate(found):
        assert motion is not None and motion.shape == (4, 6, 4)
        assert (frame == number).all()
        assert motion[0, 0].tolist() == by_hand(number, step, count)


def test_without_motion_frames_pass() -> None:
    found = list(with_motion(frames(3), None))
    assert [int(frame[0, 0, 0]) for frame, _ in found] == [0, 1, 2]
    assert all(motion is None for _, motion in found)


class Endless(Clip):
    """A long clip that counts how many of its frames are alive."""

    path = Path("endless")
    frame_names = range(400)  # type: ignore[assignment]

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most = 0

    def rgb(self, numbers: Any) -> Any:
        raise NotImplementedError

    def file(self, number: int) -> Path:
        return self.path

    def stream(self, skip: Any = ()) -> Iterator[tuple[int, Picture | BadFileError]]:
        class Counted(np.ndarray):
            __hash__ = object.__hash__  # type: ignore[assignment]
            __eq__ = object.__eq__  # type: ignore[assignment]

        for number in range(400):
            frame = np.zeros((4, 6, 3), np.uint8).view(Counted)
            self.alive.add(frame)
            yield number, frame
            del frame
            self.most = max(self.most, len(self.alive))


@pytest.mark.parametrize(("step", "most"), [(None, 3), (5, 10 + 4)])
def test_memory_is_bounded_however_long_the_clip(step: int | None, most: int) -> None:
    clip = Endless()
    count = 0
    for _ in with_motion(whole_frames(clip, Damage()), step):
        count += 1
        if count % 100 == 0:
            gc.collect()
    assert count == 400
    assert clip.most <= most


def folder(tmp_path: Path, damaged: list[int]) -> Clip:
    for k, frame in enumerate(frames(6)):
        write_png(tmp_path / f"{k}.png", frame)
        if k in damaged:
            (tmp_path / f"{k}.png").write_bytes(b"no picture")
    return open_clip(tmp_path)


@pytest.mark.parametrize(
    ("damaged", "shown"),
    [([], [0, 1, 2, 3, 4, 5]), ([2, 3, 5], [0, 1, 1, 1, 4, 4]), ([0, 1], [2, 2, 2, 3, 4, 5])],
)
def test_a_good_frame_stands_in_for_a_damaged_one(
    tmp_path: Path, damaged: list[int], shown: list[int]
) -> None:
    damage = Damage()
    found = [int(frame[0, 0, 0]) for frame in whole_frames(folder(tmp_path, damaged), damage)]
    assert found == shown
    assert sorted(damage.frames) == damaged
    if damaged:
        assert f"{len(damaged)} frames are damaged ({damaged[0]}" in damage.note()
        assert f"{damaged[0]}.png: 10 bytes" in damage.note()
    else:
        assert damage.note() == ""


def test_a_clip_of_damage_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"no frame can be read: .*0\.png: 10 bytes"):
        list(whole_frames(folder(tmp_path, list(range(6))), Damage()))
