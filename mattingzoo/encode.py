"""Writing clips: folders of PNGs, and video files by PyAV, with the sound of their source.

OpenCV reads videos, but it writes neither transparency nor sound, nor lets it choose how much is
lost. So files are written by PyAV, which brings its own FFmpeg: ``pip install mattingzoo[video]``.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mattingzoo.clips import VIDEO_SUFFIXES, is_video
from mattingzoo.io import Picture, write_png

#: How frames are coded, by the ending of a file: encoder, its options, and sounds that fit.
H264 = {"crf": "14", "preset": "medium"}
VP9 = {"crf": "18", "b:v": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("libx264", H264),
    ".mov": ("libx264", H264),
    ".mkv": ("libx264", H264),
    ".webm": ("libvpx-vp9", VP9),
}
#: Sounds that a container holds as they are; ``.mkv`` holds all.
SOUNDS = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"),
    ".webm": ("opus", "vorbis"),
}


class ClipWriter(ABC):
    """Takes frames in their order; a context manager that leaves no half of a file behind."""

    @abstractmethod
    def write(self, frame: Picture) -> None:
        """Take in the next frame: [H, W], [H, W, 3] or [H, W, 4], all alike."""

    def note(self) -> str:
        """What to know of the result; empty if nothing."""
        return ""

    @abstractmethod
    def finish(self) -> None:
        """Put the result in its place."""

    @abstractmethod
    def discard(self) -> None:
        """Remove what there is of a result that will not be finished."""

    def __enter__(self) -> "ClipWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()


class FolderWriter(ClipWriter):
    """Frames as PNGs, named by their numbers from 0 on; those written stay, whatever happens.

    Args:
        folder: Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, frame: Picture) -> None:
        """Write the next PNG."""
        write_png(self.folder / f"{self._number:06d}.png", frame)
        self._number += 1

    def finish(self) -> None:
        """All is in its place."""

    def discard(self) -> None:
        """What was written is whole."""


class VideoWriter(ClipWriter):
    """A video file; it appears once it is whole.

    Args:
        path: Its ending says the container. RGBA frames need ``.webm``.
        rate: Frames per second.
        sound: A video whose sound is copied where the container holds it; None for silence.

    Raises:
        ValueError: If PyAV is not installed, or the container is unknown.
    """

    def __init__(self, path: Path, rate: float, sound: Path | None = None) -> None:
        self._av = _pyav()
        self.path = path
        self.suffix = path.suffix.lower()
        if self.suffix not in ENCODERS:
            raise ValueError(
                f"{path.name}: videos are written as {', '.join(ENCODERS)}; choose one of them, or "
                "give a folder for PNGs"
            )
        # Rates are ratios: 29.97 is 30000/1001, and a rounded one would drift from the sound.
        self.rate = Fraction(rate).limit_denominator(1001)
        self._partial = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
        self._container: Any = None
        self._stream: Any = None
        self._number = 0
        self._sound = None if sound is None else _Sound(self._av, sound, self.suffix)

    def write(self, frame: Picture) -> None:
        """Encode the next frame."""
        if self._container is None:
            self._open(frame)
        pixels = {2: "gray", 3: "rgb24", 4: "rgba"}[2 if frame.ndim == 2 else frame.shape[2]]
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=pixels)
        picture.pts = self._number
        picture.time_base = 1 / self.rate
        self._number += 1
        self._mux(self._stream.encode(picture))

    def note(self) -> str:
        """Whether the sound was left out, and why."""
        return "" if self._sound is None else self._sound.note

    def finish(self) -> None:
        """Encode what is left, and give the file its name."""
        if self._container is None:
            self.discard()
            return
        self._mux(self._stream.encode())
        self._mux_sound(None)
        self._close()
        self._partial.replace(self.path)

    def discard(self) -> None:
        """Remove the unfinished file."""
        self._close()
        self._partial.unlink(missing_ok=True)

    def _open(self, frame: Picture) -> None:
        encoder, options = ENCODERS[self.suffix]
        height, width = frame.shape[:2]
        transparent = frame.ndim == 3 and frame.shape[2] == 4
        self._check(transparent, height, width)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._partial), "w")
        if transparent:
            options = {**options, "auto-alt-ref": "0"}  # frames that are not shown have no alpha
        self._stream = self._container.add_stream(encoder, rate=self.rate, options=options)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuva420p" if transparent else "yuv420p"
        if self._sound is not None:
            self._sound.join(self._container)

    def _check(self, transparent: bool, height: int, width: int) -> None:
        if transparent and self.suffix != ".webm":
            raise ValueError(
                f"{self.path.name}: only .webm holds transparent frames; choose it, or give a "
                "folder for PNGs"
            )
        if self.suffix != ".webm" and (height % 2 or width % 2):
            raise ValueError(
                f"{self.path.name}: H.264 takes even sizes, the frames have {width} x {height}; "
                "choose .webm, or give a folder for PNGs"
            )

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            self._mux_sound(float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _mux_sound(self, until: float | None) -> None:
        """Sound up to a time, or to the end of the pictures: players want both side by side."""
        if self._sound is not None:
            end = float(self._number / self.rate)
            for packet in self._sound.packets(end if until is None else until):
                self._container.mux(packet)

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._sound is not None:
            self._sound.close()


class _Sound:
    """The first sound track of a video, copied packet by packet if the container holds it."""

    def __init__(self, av: Any, source: Path, suffix: str) -> None:
        self.note = ""
        self._file: Any = av.open(str(source))
        self._waiting: Any = None
        self._stream: Any = None
        self._rest: Iterator[Any] = iter(())
        tracks = self._file.streams.audio
        if not tracks:
            return
        codec = tracks[0].codec_context.name
        if suffix != ".mkv" and codec not in SOUNDS[suffix]:
            fitting = [end for end, codecs in SOUNDS.items() if codec in codecs] + [".mkv"]
            self.note = (
                f"the sound of {source.name} ({codec}) is left out, {suffix} does not hold it; "
                f"{' and '.join(fitting)} do"
            )
            return
        self._rest = (packet for packet in self._file.demux(tracks[0]) if packet.dts is not None)

    def join(self, container: Any) -> None:
        """Add a track to a container that has its video."""
        self._waiting = next(self._rest, None)
        if self._waiting is not None:
            self._stream = container.add_stream_from_template(self._waiting.stream)

    def packets(self, until: float) -> Iterator[Any]:
        """The packets that begin before a time in seconds and were not given yet."""
        while self._waiting is not None and self._waiting.dts * self._waiting.time_base < until:
            self._waiting.stream = self._stream
            yield self._waiting
            self._waiting = next(self._rest, None)

    def close(self) -> None:
        """Let go of the file."""
        self._rest = iter(())
        self._file.close()


def open_writer(path: Path, rate: float, sound: Path | None = None) -> ClipWriter:
    """A folder of PNGs, or a video file if the path is called as one.

    Raises:
        ValueError: If the ending is of no container that can be written, or PyAV is not installed.
    """
    if is_video(path):
        return VideoWriter(path, rate, sound)
    if path.suffix and not path.is_dir():
        raise ValueError(
            f"{path.name} is neither a video ({', '.join(ENCODERS)}) nor a folder; found ending "
            f"{path.suffix}, {', '.join(VIDEO_SUFFIXES)} are known"
        )
    return FolderWriter(path)


def _pyav() -> Any:
    try:
        import av
    except ModuleNotFoundError as error:
        raise ValueError(
            "writing video files needs PyAV: pip install 'mattingzoo[video]'; or give a folder, "
            "which gets PNGs"
        ) from error
    return av
