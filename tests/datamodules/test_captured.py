"""Footage: own and released layout, neighbours of a frame, training without truth."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from mattingzoo.batch import Batch
from mattingzoo.cli import main
from mattingzoo.datamodules.captured import Captured, CapturedSource, check, find_takes
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.module import MattingModule
from mattingzoo.ops import motion_from_image
from mattingzoo.recipe import Recipe
from mattingzoo.segmentation import soften

RELEASE = Path(__file__).parents[3] / "shared" / "data" / "layouts" / "Background-Matting"
KEYS = ("image", "captured_background", "segmentation", "motion")


def flat(value: int, height: int = 24, width: int = 30, channels: int = 3) -> Picture:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.full(shape, value, np.uint8)


def disc(height: int = 24, width: int = 30) -> Picture:
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height // 2, x - width // 2)
    return (255 * np.clip(8 - distance, 0, 1)).astype(np.uint8)


def put(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, picture)


def draw(root: Path, alpha: bool = True, frames: int = 7) -> Path:
    """A still, and a clip of frames of gray 10, 11 and so on; masks and, if asked for, mattes."""
    keys = ("segmentation", "alpha") if alpha else ("segmentation",)
    put(root / "image" / "still.png", flat(200))
    put(root / "captured_background" / "still.png", flat(50))
    put(root / "captured_background" / "walk.png", flat(60))
    for k in range(frames):
        put(root / "image" / "walk" / f"{k:04d}.png", flat(10 + k))
        for key in keys:
            put(root / key / "walk" / f"{k:04d}.png", disc())
    for key in keys:
        put(root / key / "still.png", disc())
    return root


def source(root: Path, step: int = 1) -> CapturedSource:
    return CapturedSource(find_takes(root, "test"), step)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_every_frame_is_a_sample(tmp_path: Path) -> None:
    found = source(draw(tmp_path))
    assert found.native == {*KEYS, "alpha"}
    assert list(found.names) == ["still", *(f"walk_{k:04d}" for k in range(7))]
    assert list(found.foreground_names) == ["still"] + ["walk"] * 7
    pictures = found.load(3, rng())
    assert set(pictures) == found.native
    assert (pictures["image"] == 12).all() and (pictures["captured_background"] == 60).all()
    np.testing.assert_array_equal(pictures["alpha"], disc())
    names = [path.relative_to(tmp_path).as_posix() for path in found.files(3)]
    assert names == [
        "image/walk/0002.png",
        "captured_background/walk.png",
        "segmentation/walk/0002.png",
        "alpha/walk/0002.png",
    ]


@pytest.mark.parametrize(
    ("step", "frame", "grays"),
    [(1, 3, (11, 12, 14, 15)), (1, 0, (10, 10, 11, 12)), (3, 5, (10, 12, 16, 16))],
)
def test_motion_shows_the_neighbours_and_at_an_end_the_last_there_is(
    tmp_path: Path, step: int, frame: int, grays: tuple[int, ...]
) -> None:
    motion = source(draw(tmp_path), step).load(1 + frame, rng())["motion"]
    assert motion.shape == (24, 30, 4)
    assert tuple(motion[0, 0].tolist()) == grays


def test_motion_of_a_still_is_its_gray_picture_four_times(tmp_path: Path) -> None:
    draw(tmp_path)
    put(tmp_path / "image" / "still.png", rng().integers(256, size=(24, 30, 3), dtype=np.uint8))
    data = Captured(str(tmp_path), num_workers=0)
    first = next(iter(data.test_dataloader()))
    assert first is not None and first["name"] == ["still"]
    batch = data.prepare(first, KEYS)
    expected = motion_from_image(batch["image"])
    torch.testing.assert_close(batch["motion"], expected, atol=1 / 255, rtol=0)
    assert (batch["motion"] == batch["motion"][:, :1]).all()


def test_without_truth_it_has_no_alpha(tmp_path: Path) -> None:
    assert source(draw(tmp_path, alpha=False)).native == set(KEYS)


def test_a_plate_for_each_frame(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "captured_background" / "walk.png").unlink()
    for k in range(7):
        put(tmp_path / "captured_background" / "walk" / f"{k:04d}.png", flat(70 + k))
    assert (source(tmp_path).load(5, rng())["captured_background"] == 74).all()


def test_a_clip_may_be_a_video_file(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    writer = cv2.VideoWriter(
        str(tmp_path / "image" / "walk.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (32, 24)
    )
    for k in range(6):
        writer.write(flat(20 + 20 * k, 24, 32))
    writer.release()
    put(tmp_path / "captured_background" / "walk.png", flat(60, 24, 32))
    found = source(tmp_path)
    assert list(found.names) == [f"walk_{k:06d}" for k in range(6)]
    pictures = found.load(4, rng())
    assert abs(int(pictures["image"].mean()) - 100) <= 2
    np.testing.assert_allclose(pictures["motion"][0, 0], [60, 80, 120, 120], atol=3)


def test_splits_are_folders(tmp_path: Path) -> None:
    draw(tmp_path / "train", alpha=False)
    draw(tmp_path / "val", frames=3)
    data = Captured(str(tmp_path))
    assert "alpha" not in data.source("train").native
    assert len(data.source("val")) == 4
    with pytest.raises(ValueError, match="has the splits train and val, no 'test'; make"):
        data.source("test")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="lacks image/ and captured_background/"):
        source(tmp_path)
    draw(tmp_path)
    (tmp_path / "captured_background" / "walk.png").unlink()
    (tmp_path / "alpha" / "still.png").unlink()
    with pytest.raises(FileNotFoundError, match="lacks captured_background/walk, alpha/still;"):
        source(tmp_path)


def test_layers_must_have_the_frames_of_the_image(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "alpha" / "walk" / "0006.png").unlink()
    with pytest.raises(ValueError, match=r"alpha/walk has 6 frames; expected 7 as .*image/walk"):
        source(tmp_path)
    put(tmp_path / "alpha" / "walk" / "0007.png", disc())
    with pytest.raises(ValueError, match=r"alpha/walk holds 0007, which .*image/walk does not"):
        source(tmp_path)


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    put(tmp_path / "image" / "walk.png", flat(1))
    with pytest.raises(ValueError, match=r"holds walk and walk\.png; expected one of a name"):
        source(tmp_path)


def test_names_that_would_coincide_are_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    for key in ("image", "captured_background", "segmentation", "alpha"):
        picture = disc() if key in ("segmentation", "alpha") else flat(1)
        put(tmp_path / key / "walk_0002.png", picture)
    with pytest.raises(ValueError, match="would be called walk_0002; rename"):
        source(tmp_path)


def test_a_plate_of_another_size_is_named(tmp_path: Path) -> None:
    draw(tmp_path)
    put(tmp_path / "captured_background" / "walk.png", flat(60, 20, 30))
    with pytest.raises(BadFileError, match=r"walk\.png: 30 x 20 pixels; expected 30 x 24 as its"):
        source(tmp_path).load(2, rng())


def test_check_names_everything_at_once(tmp_path: Path) -> None:
    draw(tmp_path / "train", alpha=False)
    draw(tmp_path / "val")
    assert check(tmp_path, progress=False).problems == []
    (tmp_path / "train" / "image" / "walk" / "0001.png").write_bytes(b"no picture")
    put(tmp_path / "train" / "segmentation" / "still.png", flat(0, 5, 5, 1))
    (tmp_path / "val" / "captured_background" / "walk.png").unlink()
    report = check(tmp_path, progress=False)
    assert report.counts == {"train takes": 2, "train frames": 8}
    assert [problem.split(": ")[0].removeprefix(f"{tmp_path}/") for problem in report.problems] == [
        "train/segmentation/still.png",
        "train/image/walk/0001.png",
        "val lacks captured_background/walk; expected a partner for every file; take them from the "
        "original release, or remove the files that have none",
    ]


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path)
    main(["data", "check", "captured", "--root", str(tmp_path)])
    assert "2 test takes, 8 test frames\nnothing is wrong" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["data", "check", "captured", "--root", str(tmp_path), "--coco", str(tmp_path)])
    assert "captured is composed of nothing; leave out --coco" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("motion_step", 0), ("subset", "moon")])
def test_arguments_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        Captured("somewhere", **{name: value})


class Student(MattingModule):
    """Learns from footage without truth to say what the segmentation says."""

    inputs = ("image", "captured_background", "segmentation", "motion")

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Conv2d(11, 1, 1)
        self.losses: list[float] = []

    def forward(self, batch: Batch) -> Tensor:
        pictures = [batch[key] for key in self.inputs]  # type: ignore[literal-required]
        return torch.sigmoid(self.network(torch.cat(pictures, dim=1)))

    def training_keys(self) -> tuple[str, ...]:
        return self.inputs

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = (self(batch) - batch["segmentation"]).abs().mean()
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.2)


def fit(data: Captured, **arguments: Any) -> Student:
    torch.manual_seed(0)
    student = Student()
    trainer = Trainer(
        accelerator="cpu", max_steps=25, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **arguments,
    )  # fmt: skip
    trainer.fit(student, data)
    return student


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_training_without_truth(tmp_path: Path) -> None:
    draw(tmp_path / "train", alpha=False)
    recipe = Recipe(crop_size=16, window="subject", scale=1.2, rotate=10)
    data = Captured(str(tmp_path), batch_size=4, num_workers=0, recipe=recipe, seed=1)
    losses = fit(data, limit_val_batches=0).losses
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    # Whoever would validate is told before anything is computed that there is no truth.
    with pytest.raises(ValueError, match="has the splits train, no 'val'"):
        fit(data)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_prediction_without_truth(tmp_path: Path) -> None:
    draw(tmp_path, alpha=False)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    mattes = trainer.predict(Student(), Captured(str(tmp_path), num_workers=0))
    assert mattes is not None and len(mattes) == 8
    assert {tuple(matte.shape) for matte in mattes} == {(1, 1, 24, 30)}  # type: ignore[union-attr]


def test_training_windows_turn_everything_alike(tmp_path: Path) -> None:
    """Each key holds the same ramp, so that after whatever turn they must still be equal."""
    ramp = np.linspace(0, 255, 40 * 50).reshape(40, 50).astype(np.uint8)
    for key in ("image", "captured_background", "segmentation"):
        put(tmp_path / key / "a.png", ramp if key == "segmentation" else np.dstack([ramp] * 3))
    recipe = Recipe(crop_size=24, crop_sides=(20, 30), flip=0.5, rotate=30, scale=1.3, shear=0.2)
    data = Captured(str(tmp_path), num_workers=0, recipe=recipe, seed=2)
    batch = next(iter(data.train_dataloader()))
    assert batch is not None
    batch = data.prepare(batch, KEYS, "train")
    assert "trimap" not in batch and "alpha" not in batch
    for key in KEYS[1:]:
        picture = batch[key]  # type: ignore[literal-required]
        torch.testing.assert_close(picture[:, :1], batch["image"][:, :1], atol=1.5 / 255, rtol=0)


needs_release = pytest.mark.skipif(not RELEASE.is_dir(), reason="needs shared/data/layouts")


@needs_release
def test_release_is_trained_on_by_its_list() -> None:
    data = Captured(str(RELEASE), num_workers=0)
    train = data.source("train")
    assert train.native == set(KEYS)
    assert list(train.names) == ["clip1_0001", "clip1_0002", "clip1_0003"]
    pictures = train.load(0, rng())
    clip = RELEASE / "Captured_Data" / "fixed-camera" / "train" / "clip1"
    second = cv2.imread(str(clip / "0002_img.png"), cv2.IMREAD_GRAYSCALE)
    assert second is not None
    np.testing.assert_allclose(pictures["motion"][..., 0].astype(int), second, atol=1)
    mask = cv2.imread(str(clip / "0001_masksDL.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    # Softened at random while training: another seed gives another segmentation.
    other = train.load(0, np.random.default_rng(5))["segmentation"]
    assert not np.array_equal(pictures["segmentation"], other)
    assert abs(float(pictures["segmentation"].mean()) - mask.mean()) < 40


@needs_release
def test_release_without_its_list_gives_its_clips(tmp_path: Path) -> None:
    (tmp_path / "Captured_Data").symlink_to(RELEASE / "Captured_Data")
    train = Captured(str(tmp_path)).source("train")
    assert list(train.names) == [f"clip1_{k:04d}" for k in range(1, 8)]
    assert [path.name for path in train.files(2)] == ["0003_img.png", "clip1.png",
                                                      "0003_masksDL.png"]  # fmt: skip


@needs_release
def test_release_is_tested_on_its_stills() -> None:
    data = Captured(str(RELEASE))
    test = data.source("test")
    assert list(test.names) == ["0001", "0501", "1001"]
    pictures = test.load(0, rng())
    mask = RELEASE / "sample_data" / "input" / "0001_masksDL.png"
    stored = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(pictures["segmentation"], soften(np.asarray(stored, np.uint8)))
    with pytest.raises(ValueError, match=r"to validate on; train with --trainer\.limit_val"):
        data.source("val")
    assert check(RELEASE, progress=False).problems == []


@needs_release
def test_release_has_composites_for_stage_1() -> None:
    data = Captured(str(RELEASE), subset="adobe")
    train = data.source("train")
    assert train.native == {"foreground", "alpha", "background"}
    assert list(train.names) == ["fireman240a_0", "hand_main_gauche_paume_1"]
    assert train.load(0, rng())["alpha"].shape == (320, 320)
    with pytest.raises(ValueError, match="there is no 'val' split of it"):
        data.source("val")


@needs_release
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png;b.png\n", "line 1 of another kind; expected 7 or 8 paths"),
        ("", "no line; expected"),
        (";".join(["gone.png"] * 8), r"it names .*gone\.png, not there"),
    ],
)
def test_damaged_list_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "Video_data_train.csv").write_text(text)
    with pytest.raises(BadFileError, match=message):
        Captured(str(tmp_path)).source("train")


def test_a_released_shot_without_plate_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sample_data" / "input"
    put(folder / "0001_img.png", flat(1))
    with pytest.raises(FileNotFoundError, match="lacks 0001_back; expected a partner"):
        Captured(str(tmp_path)).source("test")
    with pytest.raises(FileNotFoundError, match="holds no clips; expected CLIP/NNNN_img"):
        Captured(str(tmp_path)).source("train")
