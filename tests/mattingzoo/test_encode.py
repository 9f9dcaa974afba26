"""Video files come out whole, at the rate of their source, with its sound where it fits."""

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattingzoo.clips import VideoFile
from mattingzoo.encode import FolderWriter, VideoWriter, open_writer
from mattingzoo.io import Picture, read_gray

av: Any = pytest.importorskip("av")
NTSC = Fraction(30000, 1001)


def matte(k: int, height: int = 48, width: int = 64) -> Picture:
    """Half opaque, half of a value that says which frame it is."""
    picture = np.full((height, width), 4 * k, np.uint8)
    picture[: height // 2] = 255
    return picture


def film(path: Path, sound: str | None, seconds: int = 2) -> Path:
    """A gray clip, with or without noise of a codec."""
    with av.open(str(path), "w") as container:
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        video = container.add_stream(codec, rate=NTSC)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = None if sound is None else container.add_stream(sound, rate=48000)
        for k in range(30 * seconds):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 4 * k, np.uint8), format="gray")
            frame.pts, frame.time_base = k, 1 / NTSC
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            rng = np.random.default_rng(0)
            samples = rng.normal(0, 0.1, (1, 48000 * seconds)).astype(np.float32)
            noise = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            noise.sample_rate, noise.pts, noise.time_base = 48000, 0, Fraction(1, 48000)
            context = audio.codec_context
            resampler = av.AudioResampler(
                format=context.format, layout=context.layout, rate=48000,
                frame_size=context.frame_size,
            )  # fmt: skip
            for part in [*resampler.resample(noise), *resampler.resample(None)]:
                container.mux(audio.encode(part))
            container.mux(audio.encode())
    return path


def sounds(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams.audio]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_frame_comes_out_at_the_same_rate(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with open_writer(path, float(NTSC)) as writer:
        for k in range(60):
            writer.write(matte(k))
    clip = VideoFile(path)
    assert Fraction(clip.rate).limit_denominator(1001) == NTSC
    found = [frame for _, frame in clip.stream()]
    assert len(found) == 60
    for k, frame in enumerate(found):
        assert not isinstance(frame, Exception)
        assert abs(int(frame[40, 30, 0]) - 4 * k) <= 3 and frame[5, 30, 0] >= 252
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_transparency_survives(tmp_path: Path) -> None:
    path = tmp_path / "out.webm"
    with open_writer(path, 25) as writer:
        for k in range(10):
            colour = np.full((48, 64, 3), (200, 100, 50), np.uint8)
            writer.write(np.dstack([colour, matte(6 * k)]))
    with av.open(str(path)) as container:
        # FFmpeg's own decoder of VP9 leaves the alpha out.
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = container.demux(container.streams.video[0])
        frames = [frame for packet in packets for frame in decoder.decode(packet)]
    assert len(frames) == 10
    for k, frame in enumerate(frames):
        shown = frame.to_ndarray(format="rgba")
        assert abs(int(shown[40, 30, 3]) - 24 * k) <= 3 and shown[5, 30, 3] >= 252
        np.testing.assert_allclose(shown[5, 30, :3], (200, 100, 50), atol=6)


@pytest.mark.parametrize(
    ("sound", "source", "target", "kept"),
    [
        ("aac", ".mp4", ".mp4", ["aac"]),
        ("aac", ".mp4", ".mkv", ["aac"]),
        ("libopus", ".webm", ".webm", ["opus"]),
        ("aac", ".mp4", ".webm", []),
        (None, ".mp4", ".mp4", []),
    ],
)
def test_sound_is_kept_where_the_container_holds_it(
    tmp_path: Path, sound: str | None, source: str, target: str, kept: list[str]
) -> None:
    clip = film(tmp_path / f"in{source}", sound)
    out = tmp_path / f"out{target}"
    with open_writer(out, float(NTSC), clip) as writer:
        for k in range(60):
            writer.write(matte(k))
    assert sounds(out) == kept
    if kept:
        assert writer.note() == ""
        with av.open(str(out)) as container:
            ends = {}
            for packet in container.demux():
                if packet.pts is not None and packet.duration:
                    end = (packet.pts + packet.duration) * packet.time_base
                    ends[packet.stream.type] = max(end, ends.get(packet.stream.type, 0))
        assert abs(ends["audio"] - ends["video"]) < Fraction(1, 10)
    elif sound is not None:
        assert (
            "the sound of in.mp4 (aac) is left out, .webm does not hold it; .mp4" in writer.note()
        )


def test_a_job_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_writer(tmp_path / "out.mp4", 25) as writer:
        writer.write(matte(1))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_folders_take_pngs(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a" / "out", 25) as writer:
        assert isinstance(writer, FolderWriter)
        for k in range(3):
            writer.write(matte(k))
    assert sorted(p.name for p in (tmp_path / "a" / "out").iterdir()) == [
        "000000.png", "000001.png", "000002.png",
    ]  # fmt: skip
    np.testing.assert_array_equal(read_gray(tmp_path / "a" / "out" / "000002.png"), matte(2))


def test_what_a_container_cannot_hold_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"only \.webm holds transparent frames"):
        open_writer(tmp_path / "a.mp4", 25).write(np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"H\.264 takes even sizes, the frames have 33 x 47"):
        open_writer(tmp_path / "a.mp4", 25).write(np.zeros((47, 33), np.uint8))
    with pytest.raises(ValueError, match=r"a\.avi: videos are written as \.mp4"):
        open_writer(tmp_path / "a.avi", 25)
    with pytest.raises(ValueError, match=r"a\.gif is neither a video"):
        open_writer(tmp_path / "a.gif", 25)


def test_odd_sizes_fit_into_webm(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.webm", 25) as writer:
        for k in range(3):
            writer.write(matte(k, 33, 47))
    assert VideoFile(tmp_path / "a.webm").rgb([2])[0].shape == (33, 47, 3)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"needs PyAV: pip install 'mattingzoo\[video\]'; or give"):
        VideoWriter(tmp_path / "a.mp4", 25)
    assert isinstance(open_writer(tmp_path / "out", 25), FolderWriter)
