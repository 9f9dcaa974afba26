"""Frames are found by number, in folders and in video files."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mattingzoo.clips import FrameFiles, VideoFile, is_video, open_clip
from mattingzoo.io import BadFileError, write_png


def film(path: Path, codec: str = "MJPG", frames: int = 9, rate: float = 12.5) -> Path:
    """Frame k is of gray 20 k."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (48, 32))
    for k in range(frames):
        writer.write(np.full((32, 48, 3), 20 * k, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("b.mp4", "mp4v")])
def test_frames_of_a_video_are_looked_up_in_any_order(
    tmp_path: Path, name: str, codec: str
) -> None:
    clip = open_clip(film(tmp_path / name, codec))
    assert isinstance(clip, VideoFile) and len(clip) == 9
    assert clip.rate == pytest.approx(12.5)
    found = [picture.mean() for picture in clip.rgb([7, 0, 3, 7])]
    np.testing.assert_allclose(found, [140, 0, 60, 140], atol=6)
    (gray,) = clip.gray([5])
    assert gray.shape == (32, 48) and abs(gray.mean() - 100) < 6
    assert clip.file(3) == tmp_path / name


def test_streaming_gives_every_frame_once(tmp_path: Path) -> None:
    frames = dict(VideoFile(film(tmp_path / "a.mp4", "mp4v")).stream(skip={2, 5}))
    assert list(frames) == [0, 1, 3, 4, 6, 7, 8]
    means = [np.mean(frame) for frame in frames.values()]  # type: ignore[arg-type]
    np.testing.assert_allclose(means, [0, 20, 60, 80, 120, 140, 160], atol=6)


def test_a_damaged_frame_does_not_end_the_stream(tmp_path: Path) -> None:
    for k in range(4):
        write_png(tmp_path / f"{k}.png", np.full((4, 5, 3), k, np.uint8))
    (tmp_path / "1.png").write_bytes(b"no picture")
    frames = dict(open_clip(tmp_path).stream(skip={0}))
    assert list(frames) == [1, 2, 3]
    assert isinstance(frames[1], BadFileError) and "1.png" in str(frames[1])
    assert np.mean(frames[3]) == 3  # type: ignore[arg-type]


def test_colours_are_rgb(tmp_path: Path) -> None:
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    writer.write(np.full((32, 32, 3), (0, 0, 220), np.uint8))  # OpenCV's order
    writer.release()
    red, green, blue = VideoFile(path).rgb([0])[0].mean(axis=(0, 1))
    assert red > 190 and green < 40 and blue < 40


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(BadFileError, match=r"a\.mp4: 8 bytes, not decoded; expected a video"):
        open_clip(tmp_path / "a.mp4")
    with pytest.raises(BadFileError, match=r"b\.mp4: no such file"):
        open_clip(tmp_path / "b.mp4")


def test_a_truncated_video_names_the_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi")
    data = path.read_bytes()
    clip = VideoFile(path)
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(BadFileError, match=r"a\.avi: (frame 8 of 9 cannot be decoded|.*not decod)"):
        clip.rgb([8])


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for k in (2, 0, 1):
        write_png(tmp_path / f"{k}.png", np.full((4, 5, 3), k, np.uint8))
    clip = open_clip(tmp_path)
    assert isinstance(clip, FrameFiles) and list(clip.frame_names) == ["0", "1", "2"]
    assert [int(p[0, 0, 0]) for p in clip.rgb([2, 0])] == [2, 0]
    assert [int(p[0, 0]) for p in clip.gray([1])] == [1]
    assert clip.path == tmp_path and clip.file(1) == tmp_path / "1.png"


def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    clip = open_clip(tmp_path / "still.png")
    assert len(clip) == 1 and clip.path == tmp_path / "still.png"


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is empty; expected frames"):
        open_clip(tmp_path)


def test_videos_are_told_by_their_ending() -> None:
    assert is_video(Path("A.MP4")) and is_video(Path("b.webm")) and not is_video(Path("c.png"))
