"""What benchmarks/run.py scores, shows and writes besides mattes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mattingzoo.datamodules import Synthetic
from mattingzoo.io import read_gray, read_rgb
from mattingzoo.models import GFM, BackgroundMatting
from mattingzoo.pictures import to_bytes
from mattingzoo.weights import save_weights

Run = Callable[..., Any]  # the fixture `run`


def results(path: Path, file: str = "results.json") -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((path / file).read_text())
    return loaded


def test_parts_are_scored_if_asked_for(tmp_path: Path, folder: Path, run: Run) -> None:
    arguments = ("--model", "all-foreground", "--data", "folder", "--data-root", str(folder))
    plain = run(*arguments, "--out", str(tmp_path / "a"))
    assert "SAD-T" not in plain.stdout
    before = results(tmp_path / "a")
    assert [entry["parts"] for entry in before] == [None, None]
    done = run(*arguments, "--parts", "--out", str(tmp_path / "a"))
    assert done.returncode == 0, done.stdout
    unknown, whole = results(tmp_path / "a")
    assert unknown["parts"] is None
    assert [entry["SAD"] for entry in (unknown, whole)] == [entry["SAD"] for entry in before]
    # Everything is foreground: of two pictures five rows of 31 pixels are wrongly so.
    assert whole["parts"]["SAD-FG"] == 0
    assert whole["parts"]["SAD-BG"] == pytest.approx(2 * 5 * 31 / 1000 / 3)
    alphas = [read_gray(folder / "alpha" / f"p{i}.png")[5:-5] / 255 for i in range(2)]
    sad_t = sum((1 - alpha).sum() for alpha in alphas) / 1000 / 3
    assert whole["parts"]["SAD-T"] == pytest.approx(sad_t)
    mse_t = np.mean([np.square(1 - alpha).mean() for alpha in alphas])  # the third has no such part
    assert whole["parts"]["MSE-T"] == pytest.approx(mse_t)
    shown = f"SAD-T {sad_t:.2f}, SAD-FG 0.00, SAD-BG 0.10, MSE-T {1000 * mse_t:.2f}"
    assert shown in done.stdout
    with (tmp_path / "a" / "per_image.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "p0"]
    assert {row["region"]: row["SAD-BG"] for row in rows} == {"unknown": "", "whole": "0.155"}


def test_foreground_colours_are_scored_of_a_model_that_predicts_them(
    tmp_path: Path, run: Run
) -> None:
    torch.manual_seed(0)
    hparams: dict[str, Any] = {"width": 2, "n_blocks1": 1, "n_blocks2": 1}
    about = {"model": "background_matting", "variant": "t", "recipe": {}, "hparams": hparams}
    module = BackgroundMatting(**hparams).eval()
    path = save_weights(module, tmp_path / "b.safetensors", about)
    arguments = ("--data", "synthetic", "--data-option", "synthetic.size=64", "--limit", "2")
    models = ("--model", "difference-key,background_matting", "--weights", str(path), "--out", "o")
    done = run(*models, *arguments)
    assert done.returncode == 0, done.stdout
    entries = {(e["model"], e["region"]): e["mse_fg"] for e in results(tmp_path / "o")}
    data = Synthetic(size=64, num_workers=0, limit=2)
    errors = []
    for batch in data.test_dataloader():
        assert batch is not None
        batch = data.prepare(batch, (*module.inputs, "alpha", "foreground"))
        colour = (module.matte_with_extras(batch)[1]["foreground"] * 255).round()
        true, seen = batch["foreground"] * 255, (batch["alpha"] > 0).expand_as(colour)
        errors.append(float(((colour - true.round()) / 255)[seen].square().mean()))
    assert entries.pop(("background_matting", "whole")) == pytest.approx(np.mean(errors), rel=1e-4)
    assert set(entries.values()) == {None}
    assert f"foreground's colours {1000 * np.mean(errors):.2f}" in done.stdout
    with (tmp_path / "o" / "per_image.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["model"] == "background_matting"]
    shown = [float(row["mse_fg"]) for row in rows if row["region"] == "whole"]
    assert shown == pytest.approx(errors, rel=1e-4)
    assert {row["mse_fg"] for row in rows if row["region"] == "unknown"} == {""}


def test_what_else_a_model_predicts_is_shown_and_written(tmp_path: Path, run: Run) -> None:
    torch.manual_seed(0)
    hparams: dict[str, Any] = {
        "encoder": "tiny",
        "widths": [4, 8, 8, 16, 16],
        "blocks": [1, 1, 1, 1],
    }
    about = {"model": "gfm", "variant": "t", "recipe": {}, "hparams": hparams}
    module = GFM(**hparams).eval()
    path = save_weights(module, tmp_path / "g.safetensors", about)
    arguments = ["--model", "gfm", "--weights", str(path), "--data", "synthetic", "--limit", "1"]
    arguments += ["--data-option", "synthetic.size=64", "--out", "o", "--panels"]
    assert run(*arguments).returncode == 0
    assert not (tmp_path / "o" / "extras").exists()
    # Scores are in the journal, the pictures still have to be made.
    assert run(*arguments, "--extras").returncode == 0
    data = Synthetic(size=64, num_workers=0, limit=1)
    batch = next(iter(data.test_dataloader()))
    assert batch is not None
    batch = data.prepare(batch, (*module.inputs, "alpha"))
    extras = module.matte_with_extras(batch)[1]
    written = {file.parent.name: file for file in (tmp_path / "o" / "extras").rglob("*.png")}
    assert written.keys() == extras.keys() == {"glance_matte", "focus_matte"}
    for key, picture in extras.items():
        assert np.array_equal(read_gray(written[key]), to_bytes(picture[0]))
    (shown,) = (tmp_path / "o" / "panels").rglob("*.png")
    assert read_rgb(shown).shape == (320, 8 * 324, 3)


def test_robustness_to_errors_of_the_captured_background(run: Run) -> None:
    arguments = ["--model", "mean,difference-key", "--data", "synthetic", "--limit", "6"]
    done = run(*arguments, "--robustness", "--out", "out")
    assert done.returncode == 0, done.stdout
    entries = json.loads(Path("out/robustness.json").read_text())
    assert {entry["model"] for entry in entries} == {"difference-key"}
    errors = {entry["condition"]: entry["MSE"] for entry in entries}
    assert len(errors) == 11
    plain = json.loads(Path("out/results.json").read_text())
    (still,) = (e for e in plain if e["model"] == "difference-key" and e["region"] == "whole")
    assert errors["as it is"] == still["MSE"]
    # Worse the further it is moved, and by far the worst where it shows another scene.
    moved = [errors[f"moved by {pixels} px"] for pixels in (2, 4, 8, 16)]
    assert moved == sorted(moved) and moved[-1] > 1.5 * errors["as it is"]
    assert max(errors, key=errors.__getitem__) == "of another scene"
    assert "moved by 16 px" in done.stdout
    # Nothing is computed again, and nothing is written twice.
    again = run(*arguments, "--robustness", "--out", "out")
    assert again.returncode == 0
    assert json.loads(Path("out/robustness.json").read_text()) == entries


def test_robustness_needs_a_model_that_reads_a_background(run: Run) -> None:
    done = run("--model", "mean", "--data", "synthetic", "--robustness")
    assert done.returncode == 2
    assert "--robustness is about models that read captured_background, of mean none" in done.stdout
