"""`data prepare captured`: footage comes out aligned, softened and accounted for."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mattingzoo.cli import main
from mattingzoo.datamodules.captured import Captured, PrepareSettings, check, prepare
from mattingzoo.io import Picture, read_gray, read_rgb, write_png
from mattingzoo.segmentation import soften

RELEASE = Path(__file__).parents[3] / "shared" / "data" / "layouts" / "Background-Matting"
HEIGHT, WIDTH = 160, 200


def scene(seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    picture = np.zeros((HEIGHT, WIDTH, 3))
    for cells, weight in ((6, 0.4), (20, 0.3), (50, 0.3)):
        coarse = rng.integers(256, size=(cells, cells, 3)).astype(np.float32)
        picture += weight * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return picture.clip(0, 255).astype(np.uint8)


def seen(k: int) -> Picture:
    """Frame k of a hand-held clip: the scene moved, a red square before it."""
    matrix = np.array([[1.0, 0, 2.5 * k], [0, 1, -1.5 * k]])
    image = cv2.warpAffine(scene(), matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    image[mask() > 0] = (200, 20, 30)
    return np.asarray(image, np.uint8)


def mask() -> Picture:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[60:130, 80:130] = 255
    return picture


def put(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, picture)


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A clip of four frames, and a still whose plate shows nothing."""
    root = tmp_path / "footage"
    put(root / "captured_background" / "walk.png", scene())
    put(root / "captured_background" / "still.png", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    put(root / "image" / "still.png", scene(7))
    for key in ("segmentation", "alpha"):
        put(root / key / "still.png", mask())
    for k in range(4):
        put(root / "image" / "walk" / f"{k}.png", seen(k))
        for key in ("segmentation", "alpha"):
            put(root / key / "walk" / f"{k}.png", mask())
    return root


def go(footage: Path, **arguments: Any) -> Any:
    settings = PrepareSettings(**arguments)
    return prepare(footage, footage.with_name("out"), settings, progress=False)


def test_plates_lie_over_their_pictures(footage: Path) -> None:
    report = go(footage)
    out = footage.with_name("out")
    assert report.finished and set(report.figures) == {f"walk/{k}" for k in range(4)}
    for k in range(4):
        image, plate = seen(k), read_rgb(out / "captured_background" / "walk" / f"{k}.png")
        background = cv2.dilate(mask(), np.ones((5, 5))) == 0
        assert np.abs(plate.astype(int) - image)[background].mean() < 2
        figures = report.figures[f"walk/{k}"]
        assert figures.inliers >= 25 and figures.error < 0.5 and figures.overlap > 0.9
        soft = read_gray(out / "segmentation" / "walk" / f"{k}.png")
        np.testing.assert_array_equal(soft, soften(mask()))
    # Images and mattes are the very files.
    first = Path("walk") / "0.png"
    assert (out / "image" / first).samefile(footage / "image" / first)
    assert (out / "alpha" / first).samefile(footage / "alpha" / first)


def test_what_comes_out_is_read_by_the_data_set(footage: Path) -> None:
    go(footage)
    assert check(footage.with_name("out"), progress=False).problems == []
    source = Captured(str(footage.with_name("out"))).source("test")
    assert list(source.names) == [f"walk_{k}" for k in range(4)]
    assert source.native == {"image", "captured_background", "segmentation", "motion", "alpha"}


def test_a_plate_that_fits_nothing_costs_its_own_frame_only(footage: Path) -> None:
    report = go(footage)
    assert list(report.refused) == ["still"] and not report.failed
    assert "0 features of the plate" in report.refused["still"]
    assert not (footage.with_name("out") / "image" / "still.png").exists()
    content = json.loads((footage.with_name("out") / "report.json").read_text())
    assert content["finished"] and content["refused"] == report.refused
    assert content["takes"]["walk"]["frames"] == 4
    assert content["takes"]["walk"]["error"] < 0.5


def test_a_damaged_file_does_not_stop_the_job(footage: Path) -> None:
    (footage / "image" / "walk" / "1.png").write_bytes(b"no picture")
    (footage / "segmentation" / "walk" / "2.png").write_bytes(b"")
    report = go(footage)
    assert set(report.figures) == {"walk/0", "walk/3"}
    assert set(report.failed) == {"walk/1", "walk/2"}
    assert "1.png: 10 bytes" in report.failed["walk/1"]


def test_it_goes_on_where_it_stopped(footage: Path) -> None:
    (footage / "image" / "walk" / "1.png").write_bytes(b"no picture")
    go(footage)
    out = footage.with_name("out")
    plate = out / "captured_background" / "walk" / "0.png"
    before = plate.stat().st_mtime_ns
    with (out / "frames.jsonl").open("a") as file:
        file.write('{"name": "walk/9", "ta')  # the line that a kill tore
    put(footage / "image" / "walk" / "1.png", seen(1))
    (out / "image" / "walk" / "3.png").unlink()
    report = go(footage)
    assert set(report.figures) == {f"walk/{k}" for k in range(4)}
    assert plate.stat().st_mtime_ns == before
    assert (out / "image" / "walk" / "3.png").exists()
    assert report.figures["walk/0"].inliers >= 25  # known from the first run


def test_other_settings_need_another_folder(footage: Path) -> None:
    go(footage)
    with pytest.raises(ValueError, match="begun with other settings: match_exposure was False"):
        go(footage, match_exposure=True)
    with pytest.raises(ValueError, match="out must be another folder than the footage"):
        prepare(footage, footage, PrepareSettings())


def test_a_fixed_camera_is_not_aligned(footage: Path) -> None:
    report = go(footage, fixed_camera=True)
    assert len(report.figures) == 5 and not report.problems()
    out = footage.with_name("out") / "captured_background"
    np.testing.assert_array_equal(read_rgb(out / "walk" / "3.png"), scene())
    put(footage / "captured_background" / "walk.png", scene()[:100])
    out.parent.rename(footage.with_name("before"))
    report = go(footage, fixed_camera=True)
    assert "walk.png: 200 x 100 pixels; expected 200 x 160" in report.failed["walk/0"]


def test_exposure_is_told_and_corrected_if_asked(footage: Path) -> None:
    put(footage / "captured_background" / "walk.png", (scene() * 0.8).astype(np.uint8))
    report = go(footage)
    (note,) = report.notes()
    assert "the plate of 4 of 4 frames is darker or brighter" in note
    assert "gain 1.2" in note and note.endswith("or give --match-exposure")
    footage.with_name("out").rename(footage.with_name("before"))
    report = go(footage, match_exposure=True)
    assert "(corrected)" in report.notes()[0]
    plate = read_rgb(footage.with_name("out") / "captured_background" / "walk" / "2.png")
    background = cv2.dilate(mask(), np.ones((5, 5))) == 0
    assert np.abs(plate.astype(int) - seen(2))[background].mean() < 3


def test_segmentations_by_a_model_where_there_are_none(
    footage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (footage / "segmentation").rglob("*.png"):
        path.unlink()
    (footage / "segmentation" / "walk").rmdir()
    (footage / "segmentation").rmdir()
    command = ["data", "prepare", "captured", "--root", str(footage), "--device", "cpu"]
    with pytest.raises(SystemExit) as stop:
        main([*command, "--segment-with", "difference-key"])
    assert stop.value.code == 1  # the still was refused
    shown = capsys.readouterr()
    assert "1 frames refused, 0 damaged: still" in " ".join(shown.out.split())
    assert "still: 0 features of the plate" in shown.err
    soft = read_gray(footage.with_name("footage-prepared") / "segmentation" / "walk" / "2.png")
    expected = soften(mask()) > 127
    both, either = (soft > 127) & expected, (soft > 127) | expected
    assert both.sum() / either.sum() > 0.8
    with pytest.raises(SystemExit):
        main([*command, "--segment-with", "trimap", "--out", str(footage.with_name("other"))])
    assert "--segment-with trimap reads trimap, which there is not" in capsys.readouterr().err


def test_a_video_is_unpacked(tmp_path: Path) -> None:
    root = tmp_path / "footage"
    (root / "train" / "image").mkdir(parents=True)
    film = cv2.VideoWriter(
        str(root / "train" / "image" / "walk.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10,
        (WIDTH, HEIGHT),
    )  # fmt: skip
    for k in range(3):
        film.write(cv2.cvtColor(seen(k), cv2.COLOR_RGB2BGR))
    film.release()
    put(root / "train" / "captured_background" / "walk.png", scene())
    report = prepare(root, tmp_path / "out", PrepareSettings(), progress=False)
    assert set(report.figures) == {f"train/walk/00000{k}" for k in range(3)}
    assert check(tmp_path / "out", progress=False).counts == {"train takes": 1, "train frames": 3}
    unpacked = read_rgb(tmp_path / "out" / "train" / "image" / "walk" / "000002.png")
    assert np.abs(unpacked.astype(int) - seen(2)).mean() < 8


@pytest.mark.skipif(not RELEASE.is_dir(), reason="needs shared/data/layouts")
def test_the_release_is_prepared(tmp_path: Path) -> None:
    report = prepare(RELEASE, tmp_path / "out", PrepareSettings(), progress=False)
    assert not report.failed and report.finished
    assert len(report.figures) + len(report.refused) == 10
    # The first shot's plate is shifted and turned on purpose.
    first = report.figures["test/0001"]
    assert first.inliers is not None and first.inliers >= 25 and first.overlap < 1
    image = read_rgb(tmp_path / "out" / "test" / "image" / "0001.png").astype(int)
    aligned = read_rgb(tmp_path / "out" / "test" / "captured_background" / "0001.png")
    stored = read_rgb(RELEASE / "sample_data" / "input" / "0001_back.png")
    rough = read_gray(RELEASE / "sample_data" / "input" / "0001_masksDL.png")
    outside = cv2.dilate(rough, np.ones((15, 15))) < 128
    before, after = (np.abs(image - plate)[outside].mean() for plate in (stored, aligned))
    assert after < 0.4 * before
    assert check(tmp_path / "out", progress=False).problems == []
