"""`mattingzoo matte` on a clip, from file to file, and on pictures with a clean plate."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.cli import main
from mattingzoo.clips import VideoFile
from mattingzoo.inference import Plate, composite_over, predict_with_extras, rough_segmentation
from mattingzoo.io import Picture, read_gray, read_rgb, read_rgba, write_png
from mattingzoo.metrics import dtssd
from mattingzoo.module import MattingModule
from mattingzoo.segmentation import soften

HEIGHT, WIDTH, RATE = 48, 64, 12.5


def plate() -> Picture:
    coarse = np.random.default_rng(0).integers(60, 120, (8, 10, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def truth(k: int) -> Picture:
    """A square that walks to the right."""
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[12:36, k // 2 : k // 2 + 20] = 255
    return alpha


def frame(k: int) -> Picture:
    image = plate()
    image[truth(k) > 0] = (230, 220, 40)
    return image


@pytest.fixture
def shot(tmp_path: Path) -> dict[str, Path]:
    """60 frames as a video and as a folder, the plate, and the true mattes."""
    paths = {name: tmp_path / name for name in ("frames", "truth")}
    for folder in paths.values():
        folder.mkdir()
    paths |= {"clip": tmp_path / "clip.avi", "plate": tmp_path / "plate.png"}
    film = cv2.VideoWriter(
        str(paths["clip"]), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT)
    )
    film.set(cv2.VIDEOWRITER_PROP_QUALITY, 100)
    for k in range(60):
        film.write(cv2.cvtColor(frame(k), cv2.COLOR_RGB2BGR))
        write_png(paths["frames"] / f"{k:03d}.png", frame(k))
        write_png(paths["truth"] / f"{k:03d}.png", truth(k))
    film.release()
    write_png(paths["plate"], plate())
    return paths


def matte(source: Path, shot: dict[str, Path], *more: str) -> None:
    model = ["--model", "difference-key", "--background", str(shot["plate"]), "--device", "cpu"]
    main(["matte", str(source), *model, *more])


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["matte", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_clip_goes_in_and_an_alpha_video_comes_out(
    tmp_path: Path, shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    out = tmp_path / "alpha.mp4"
    matte(shot["clip"], shot, "-o", str(out))
    clip = VideoFile(out)
    assert clip.rate == RATE
    found = [picture for _, picture in clip.stream()]
    assert len(found) == 60
    for k, picture in enumerate(found):
        assert not isinstance(picture, Exception)
        assert np.abs(picture[..., 0].astype(int) - truth(k)).mean() < 12
    assert f"60 frames at 12.5 a second -> {out}" in "".join(capsys.readouterr().out.split("\n"))


def test_a_folder_of_frames_gives_pngs_and_a_score(
    tmp_path: Path, shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out, cutouts, composites = (tmp_path / name for name in ("out", "cut", "over"))
    matte(
        shot["frames"], shot, "--rate", "24", "-o", str(out), "--alpha", str(shot["truth"]),
        "--cutout", str(cutouts), "--composite", str(composites), "--over", "0000ff",
    )  # fmt: skip
    mattes = [read_gray(path) for path in sorted(out.iterdir())]
    assert len(mattes) == 60
    truths = [torch.from_numpy(truth(k).copy()) for k in range(60)]
    pred = torch.from_numpy(np.stack(mattes))[:, None]
    expected = dtssd(pred, torch.stack(truths)[:, None])
    assert f"dtSSD {float(expected):.5f} (plain, mean over 59 pairs)" in capsys.readouterr().out
    np.testing.assert_array_equal(mattes[30], truth(30))
    colours, alpha = read_rgba(cutouts / "000030.png")
    np.testing.assert_array_equal(alpha, truth(30))
    assert np.abs(colours[alpha == 255].astype(int) - (230, 220, 40)).mean() < 3
    shown = read_rgb(composites / "000030.png")
    assert (shown[alpha == 0] == (0, 0, 255)).all()


def test_a_damaged_frame_is_told_and_time_is_kept(
    tmp_path: Path, shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (shot["frames"] / "007.png").write_bytes(b"no picture")
    matte(shot["frames"], shot, "--rate", "24", "-o", str(tmp_path / "out"))
    assert len(list((tmp_path / "out").iterdir())) == 60
    np.testing.assert_array_equal(read_gray(tmp_path / "out" / "000007.png"), truth(6))
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: 1 frames are damaged (7), the nearest good one before stands in" in shown


class Nosy(MattingModule):
    """Shows what it is given, and notes it."""

    inputs = ("image", "captured_background", "segmentation", "motion")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Batch] = []

    def forward(self, batch: Batch) -> Tensor:
        self.seen.append(batch)
        return batch["segmentation"]

    def training_keys(self) -> tuple[str, ...]:
        return ()

    def configure_optimizers(self) -> None:
        return None


@pytest.fixture
def nosy(monkeypatch: pytest.MonkeyPatch) -> Nosy:
    """Takes the place of the difference key."""
    from mattingzoo.cli import load

    module = Nosy()
    monkeypatch.setattr(load, "BASELINES", {"difference-key": lambda: module})
    return module


def test_models_are_given_the_neighbours_and_a_segmentation(
    tmp_path: Path, shot: dict[str, Path], nosy: Nosy
) -> None:
    matte(shot["frames"], shot, "--rate", "24", "-o", str(tmp_path / "out"), "--motion-step", "10")
    assert len(nosy.seen) == 60
    grays = [cv2.cvtColor(frame(k), cv2.COLOR_RGB2GRAY) for k in range(60)]
    for k in (0, 15, 30, 55):
        neighbours = [min(max(k + n, 0), 59) for n in (-20, -10, 10, 20)]
        expected = np.stack([grays[n] for n in neighbours])
        found = (nosy.seen[k]["motion"][0] * 255).round().numpy()
        np.testing.assert_array_equal(found, expected)
    # Without a mask one is made of what differs; it lies over the square.
    made = read_gray(tmp_path / "out" / "000030.png") > 127
    true = truth(30) > 0
    assert (made & true).sum() / (made | true).sum() > 0.8


def test_a_given_segmentation_is_softened(
    tmp_path: Path, shot: dict[str, Path], nosy: Nosy
) -> None:
    out = tmp_path / "out"
    more = ["--rate", "24", "-o", str(out), "--segmentation", str(shot["truth"])]
    matte(shot["frames"], shot, *more)
    np.testing.assert_array_equal(read_gray(out / "000030.png"), soften(truth(30)))


def test_a_still_is_matted_with_its_plate(tmp_path: Path, shot: dict[str, Path]) -> None:
    out = tmp_path / "alpha.png"
    matte(shot["frames"] / "020.png", shot, "-o", str(out), "--cutout", str(tmp_path / "cut.png"))
    np.testing.assert_array_equal(read_gray(out), truth(20))
    # Several pictures before one and the same plate.
    (tmp_path / "some").mkdir()
    pictures = [str(shot["frames"] / f"{k:03d}.png") for k in (3, 4)]
    model = ["--model", "difference-key", "--background", str(shot["plate"]), "--device", "cpu"]
    main(["matte", *pictures, *model, "-o", str(tmp_path / "some")])
    np.testing.assert_array_equal(read_gray(tmp_path / "some" / "004_alpha.png"), truth(4))


def test_a_still_gives_its_own_gray_for_motion(shot: dict[str, Path], nosy: Nosy) -> None:
    matte(shot["frames"] / "020.png", shot)
    (batch,) = nosy.seen
    assert batch["motion"].shape == (1, 4, HEIGHT, WIDTH)
    assert (batch["motion"] == batch["motion"][:, :1]).all()


def test_a_plate_that_was_moved_is_brought_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(256, size=(50, 60, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, (240, 200), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(scene[10:190, 12:232], np.uint8)
    keeper = Plate(np.asarray(scene, np.uint8), moved=True)
    assert np.abs(keeper.under(image).astype(int) - image).mean() < 1.5
    blank = np.zeros_like(image)
    assert np.abs(keeper.under(blank).astype(int) - image).mean() < 1.5  # where it last was
    assert "kept its place in 1 pictures: " in keeper.note()
    with pytest.raises(ValueError, match="the captured background has 240 x 200 pixels, the image"):
        Plate(np.asarray(scene, np.uint8)).under(image)


def test_rough_segmentation_leaves_noise_out() -> None:
    rng = np.random.default_rng(0)
    noisy = (plate() + rng.normal(0, 8, (HEIGHT, WIDTH, 3))).clip(0, 255).astype(np.uint8)
    noisy[rng.random((HEIGHT, WIDTH)) < 0.01] = 255
    assert not rough_segmentation(noisy, plate()).any()


def test_what_is_missing_is_said_with_its_option(nosy: Nosy) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    with pytest.raises(ValueError, match="captured_background and segmentation besides the image; "
                       "give it with --background"):  # fmt: skip
        predict_with_extras(nosy, fabric, frame(0))
    guides: dict[str, Any] = {"captured_background": plate()[:9]}
    with pytest.raises(ValueError, match="the captured background has 64 x 9 pixels"):
        predict_with_extras(nosy, fabric, frame(0), guides=guides)


def test_a_composite_over_a_picture_is_cut_to_fit() -> None:
    over = np.full((100, 100, 3), 80, np.uint8)
    cutout = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    cutout[:10] = (255, 0, 0, 255)
    shown = composite_over(cutout, over)
    assert (shown[:10] == (255, 0, 0)).all() and (shown[10:] == 80).all()


def test_wrong_use_is_answered_with_one_sentence(
    tmp_path: Path, shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    clip, key = str(shot["clip"]), ["--model", "difference-key", "--device", "cpu"]
    background = ["--background", str(shot["plate"])]
    assert "needs a clean plate; give it with --background" in fails(capsys, clip, *key)
    assert "clips are matted one by one, got 2" in fails(capsys, clip, clip, *key)
    assert "--trimap belongs to pictures" in fails(capsys, clip, *key, "--trimap", "t.png")
    still = str(shot["frames"] / "000.png")
    assert "--alpha belongs to a clip" in fails(capsys, still, *key, "--alpha", "x")
    short = tmp_path / "short"
    short.mkdir()
    for k in range(3):
        write_png(short / f"{k}.png", truth(k))
    arguments = [clip, *key, *background, "-o", str(tmp_path / "o"), "--alpha", str(short)]
    assert "--alpha" in (shown := fails(capsys, *arguments)) and "has 3 frames" in shown
    assert "--rate is for folders" in fails(capsys, clip, *key, *background, "--rate", "9")
    frames = str(shot["frames"])
    assert "--rate must be positive" in fails(capsys, frames, *key, *background, "--rate", "0")
    assert "is told its object in one picture" in fails(
        capsys, clip, "--model", "box", "--device", "cpu"
    )


def test_the_released_protocol_on_the_command_line(
    tmp_path: Path, shot: dict[str, Path], nosy: Nosy
) -> None:
    out = tmp_path / "alpha.png"
    matte(
        shot["frames"] / "020.png", shot, "-o", str(out), "--working-size", "32",
        "--max-components", "1", "--segmentation", str(shot["truth"] / "020.png"),
    )  # fmt: skip
    (batch,) = nosy.seen
    assert batch["image"].shape == (1, 3, 32, 32)
    alpha, true = read_gray(out) > 127, soften(truth(20)) > 127
    assert alpha.shape == (HEIGHT, WIDTH) and (alpha & true).sum() / (alpha | true).sum() > 0.9


def test_options_that_a_model_does_not_look_at_are_refused(
    shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    still, plate_file = str(shot["frames"] / "000.png"), str(shot["plate"])
    base = [still, "--device", "cpu", "--model", "mean"]
    assert "mean does not look at a background; leave out --background" in fails(
        capsys, *base, "--background", plate_file
    )
    assert "mean does not look at a segmentation" in fails(
        capsys, *base, "--segmentation", plate_file
    )
    assert "--max-components must be at least 1, got 0" in fails(
        capsys, *base, "--max-components", "0"
    )


def test_a_background_chooses_the_model_that_reads_one(
    tmp_path: Path, shot: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mattingzoo.cli import load

    loaded = []

    def load_model(name: str, weights: str | None = None) -> Any:
        loaded.append(name)
        return load.Loaded(load.BASELINES["difference-key"](), name, "-", "-", "-", None)

    monkeypatch.setattr(load, "load_model", load_model)
    still = str(shot["frames"] / "000.png")
    main(["matte", still, "--background", str(shot["plate"]), "--device", "cpu",
          "-o", str(tmp_path / "a.png")])  # fmt: skip
    assert loaded == ["background_matting"]


def test_a_video_that_breaks_off_is_told(
    tmp_path: Path, shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = shot["clip"].read_bytes()
    shot["clip"].write_bytes(data[: len(data) * 2 // 3])
    out = tmp_path / "out"
    stated = len(VideoFile(shot["clip"]))
    matte(shot["clip"], shot, "-o", str(out))
    written = len(list(out.iterdir()))
    assert 20 < written < 60
    shown = " ".join(capsys.readouterr().out.split())
    assert stated - written <= 2 or f"states {stated} frames, {written} can be decoded" in shown


def test_a_video_may_be_off_about_its_length(
    tmp_path: Path, shot: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (shot["truth"] / "059.png").unlink()
    matte(shot["clip"], shot, "-o", str(tmp_path / "out"), "--alpha", str(shot["truth"]))
    assert "mean over 59 pairs" in capsys.readouterr().out
    arguments = [str(shot["frames"]), "--rate", "9", "--model", "difference-key", "--device", "cpu"]
    arguments += ["--background", str(shot["plate"]), "--alpha", str(shot["truth"])]
    assert "has 59 frames, the clip 60" in fails(capsys, *arguments)
