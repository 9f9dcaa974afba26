"""Moving pictures as they lie on disk: folders of frames, and video files read by OpenCV."""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mattingzoo.io import BadFileError, Picture, bad_file, list_images, read_gray, read_rgb

#: Endings of video files, in lower case; upper case is read too.
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")


class Clip(ABC):
    """Frames in order, read by their numbers from 0 on; a still is a clip of one frame.

    Attributes:
        path: What messages name: a folder, a video file or a picture.
        frame_names: One name for each frame, unique within the clip.
    """

    path: Path
    frame_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.frame_names)

    @abstractmethod
    def rgb(self, numbers: Sequence[int]) -> list[Picture]:
        """Decode frames [H, W, 3]; a number may come several times.

        Raises:
            mattingzoo.io.BadFileError: If one cannot be read.
        """

    def gray(self, numbers: Sequence[int]) -> list[Picture]:
        """Decode frames of a clip of mattes or masks [H, W]; see :func:`mattingzoo.io.read_gray`.

        Raises:
            mattingzoo.io.BadFileError: If one cannot be read.
        """
        return [np.ascontiguousarray(picture[..., 0]) for picture in self.rgb(numbers)]

    @abstractmethod
    def stream(self, skip: Container[int] = ()) -> Iterator[tuple[int, Picture | BadFileError]]:
        """Frames [H, W, 3] in their order, one in memory at a time.

        Args:
            skip: Numbers of frames not to give.

        Yields:
            The number of each frame and the frame, or what is wrong with it.
        """

    @abstractmethod
    def file(self, number: int) -> Path:
        """The file that holds a frame."""


class FrameFiles(Clip):
    """Frames that are pictures, one file each.

    Args:
        files: In their order; at least one.
        path: What messages name; None takes the first file's folder, or the file if it is alone.
    """

    def __init__(self, files: Sequence[Path], path: Path | None = None) -> None:
        self.files = files
        self.path = path or (files[0] if len(files) == 1 else files[0].parent)
        self.frame_names = [file.stem for file in files]

    def rgb(self, numbers: Sequence[int]) -> list[Picture]:
        """Decode frames [H, W, 3]."""
        return [read_rgb(self.files[number]) for number in numbers]

    def gray(self, numbers: Sequence[int]) -> list[Picture]:
        """Decode mattes or masks [H, W]."""
        return [read_gray(self.files[number]) for number in numbers]

    def stream(self, skip: Container[int] = ()) -> Iterator[tuple[int, Picture | BadFileError]]:
        """Frames in their order."""
        for number in range(len(self)):
            if number not in skip:
                try:
                    yield number, read_rgb(self.files[number])
                except BadFileError as error:
                    yield number, error

    def file(self, number: int) -> Path:
        """The picture."""
        return self.files[number]


class VideoFile(Clip):
    """Frames of a video file. Looking one up decodes from the key frame before it.

    Args:
        path: Whatever the FFmpeg inside OpenCV decodes; turned upright as the file says.

    Attributes:
        rate: Frames per second.

    Raises:
        mattingzoo.io.BadFileError: If it is missing, damaged or empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as capture:
            frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            self.rate = float(capture.get(cv2.CAP_PROP_FPS))
        if frames < 1 or not self.rate > 0:
            found = f"{frames} frames at {self.rate:g} a second"
            raise bad_file(path, found, "a video", "convert it anew, or give a folder of frames")
        self.frame_names = [f"{number:06d}" for number in range(frames)]

    def rgb(self, numbers: Sequence[int]) -> list[Picture]:
        """Decode frames [H, W, 3]."""
        with _opened(self.path) as capture:
            frames = {number: self._look_up(capture, number) for number in sorted(set(numbers))}
        return [frames[number] for number in numbers]

    def stream(self, skip: Container[int] = ()) -> Iterator[tuple[int, Picture | BadFileError]]:
        """Frames in their order, decoded once, up to the last that can be decoded."""
        with _opened(self.path) as capture:
            damaged: list[int] = []
            # The stated count may be an estimate: what can be decoded beyond it is there.
            for number in count():
                if number in skip:
                    capture.grab()
                    continue
                decoded, frame = capture.read()
                if decoded:
                    yield from ((n, self._damage(n)) for n in damaged)
                    damaged = []
                    yield number, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                elif number < len(self):
                    damaged.append(number)
                else:
                    return

    def file(self, number: int) -> Path:
        """The video, which holds every frame."""
        return self.path

    def _look_up(self, capture: Any, number: int) -> Picture:
        if int(capture.get(cv2.CAP_PROP_POS_FRAMES)) != number:
            capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        decoded, frame = capture.read()
        if not decoded:
            raise self._damage(number)
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))

    def _damage(self, number: int) -> BadFileError:
        found = f"frame {number} of {len(self)} cannot be decoded"
        remedy = "convert it anew, or unpack it into a folder of frames"
        return bad_file(self.path, found, "a whole video", remedy)


def is_video(path: Path) -> bool:
    """Whether a path is called as a video file is."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def open_clip(path: Path) -> Clip:
    """A folder of frames, in the order of their names, a video file, or a still.

    Raises:
        FileNotFoundError: If a folder holds no pictures.
        mattingzoo.io.BadFileError: If a video cannot be opened.
    """
    if path.is_dir():
        files = list_images(path)
        if not files:
            raise FileNotFoundError(f"{path} is empty; expected frames, PNG, JPEG, WebP or TIFF")
        return FrameFiles(files, path)
    return VideoFile(path) if is_video(path) else FrameFiles([path])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    expected = f"a video that OpenCV decodes ({', '.join(VIDEO_SUFFIXES)})"
    if not path.is_file():
        raise bad_file(path, "no such file", expected, "check the folder and the name")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            found = f"{path.stat().st_size} bytes, not decoded"
            raise bad_file(path, found, expected, "convert it, or give a folder of its frames")
        yield capture
    finally:
        capture.release()
