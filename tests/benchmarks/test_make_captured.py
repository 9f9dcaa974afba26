"""Captured pairs out of cut-outs: what is written is what the data set reads."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mattingzoo.datamodules import Captured
from mattingzoo.datamodules.captured import check
from mattingzoo.io import read_gray, read_rgb, write_png


def load() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "make_captured.py"
    spec = spec_from_file_location("make_captured", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cut-outs and two photographs for each split; white subjects, dark scenes."""
    folder = tmp_path_factory.mktemp("captured")
    rng = np.random.default_rng(0)
    for kind in ("fg", "bg"):
        (folder / "cutouts" / kind).mkdir(parents=True)
        for split in ("train", "val", "test"):
            names = [f"{split}{k}.png" for k in range(2)]
            (folder / "cutouts" / f"{kind}_{split}.txt").write_text("\n".join(names))
            for name in names:
                if kind == "fg":
                    subject = np.zeros((60, 80, 4), np.uint8)
                    subject[10:50, 20:70] = 255
                    write_png(folder / "cutouts" / kind / name, subject)
                else:
                    coarse = rng.integers(100, size=(20, 26, 3), dtype=np.uint8)
                    scene = cv2.resize(coarse, (260, 200), interpolation=cv2.INTER_CUBIC)
                    write_png(folder / "cutouts" / kind / name, np.asarray(scene, np.uint8))
    assert script.make(folder / "cutouts", folder / "out", 16, 96, 3, progress=False) == 20
    return folder


def test_it_is_read_by_the_data_set(made: Path) -> None:
    assert check(made / "out", progress=False).problems == []
    data = Captured(str(made / "out"))
    layers = {"image", "captured_background", "segmentation", "motion"}
    assert data.source("train").native == layers and len(data.source("train")) == 16
    for split in ("val", "test"):
        assert data.source(split).native == {*layers, "alpha"}  # type: ignore[arg-type]
        assert len(data.source(split)) == 2  # type: ignore[arg-type]


def test_splits_share_no_subject(made: Path) -> None:
    for split in ("train", "val", "test"):
        assert all(p.stem.startswith(split) for p in (made / "out" / split / "image").iterdir())


def test_picture_shows_the_plate_where_there_is_no_subject(made: Path) -> None:
    folder = made / "out" / "test"
    for path in sorted((folder / "image").iterdir()):
        image = read_rgb(path).astype(float)
        plate = read_rgb(folder / "captured_background" / path.name).astype(float)
        alpha = read_gray(folder / "alpha" / path.name)
        outside, inside = alpha == 0, alpha == 255
        assert outside.any() and inside.any()
        assert image[inside].mean() > 245  # the white subject, whatever the noise
        difference = np.abs(image - plate)[outside].mean()
        assert 0.5 < difference < 20  # close to it, never equal
        assert np.corrcoef(image[outside].ravel(), plate[outside].ravel())[0, 1] > 0.8


def test_plate_moves_by_two_pixels_at_most() -> None:
    rng = np.random.default_rng(0)
    shifts = np.array([script._shift(rng) for _ in range(500)])
    assert np.abs(shifts).max() <= 2 and np.abs(shifts).max() > 1.9
    scene = np.zeros((110, 110, 3), np.float32)
    scene[50, 60] = 1
    still = script._window(scene, np.zeros(2), 96)
    moved = script._window(scene, np.array([2.0, -1.0]), 96)
    assert still[43, 53, 0] == 1 and moved[44, 51, 0] == 1


def test_segmentation_is_soft_and_rough(made: Path) -> None:
    folder = made / "out" / "val"
    for path in sorted((folder / "segmentation").iterdir()):
        soft, alpha = read_gray(path), read_gray(folder / "alpha" / path.name)
        assert ((soft > 0) & (soft < 255)).mean() > 0.02
        assert ((soft > 127) == (alpha > 127)).mean() > 0.8


def test_it_goes_on_where_it_stopped_and_is_the_same_for_a_seed(made: Path) -> None:
    target = sorted((made / "out" / "train" / "image").iterdir())[5]
    before = target.read_bytes()
    target.unlink()
    assert script.make(made / "cutouts", made / "out", 16, 96, 3, progress=False) == 1
    assert target.read_bytes() == before


def test_nonsense_is_refused(made: Path) -> None:
    with pytest.raises(ValueError, match="count must be at least 1 and size 16, got 0 and 8"):
        script.make(made / "cutouts", made / "out", 0, 8, 3)
