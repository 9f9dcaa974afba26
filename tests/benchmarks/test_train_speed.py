"""benchmarks/train_speed.py as a user runs it."""

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train_speed.py"


@pytest.mark.filterwarnings("ignore:.*many workers", "ignore:.*LeafSpec", "ignore:.*`val_data")
def test_an_experiment_is_measured_and_wrong_options_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", "dim/tiny,semat/tiny", "--set", "model.width=2", "--batch-size", "2"]
    arguments += ["--set", "data.recipe.crop_size=32", "--set", "data.recipe.crop_sides=[32]"]
    arguments += ["--seconds", "0.05", "--device", "cpu", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit):  # semat has no width
        runpy.run_path(str(SCRIPT), run_name="__main__")
    arguments[1] = "dim/tiny"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    (row,) = json.loads((tmp_path / "train_speed.json").read_text())
    assert row["model"] == "DIM" and row["batch_size"] == 2 and row["crop_size"] == 32
    assert row["steps"] >= 1 and row["peak_memory_mb"] > 0
    assert row["images_per_second"] == pytest.approx(2 / row["seconds_per_step"])
    assert "dim/tiny" in capsys.readouterr().out


def test_unknown_experiments_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--config", "dim/huge"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "unknown configuration dim/huge; see `mattingzoo list`" in capsys.readouterr().err
