"""benchmarks/run.py as a user runs it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mattingzoo.cli import main
from mattingzoo.datamodules import Synthetic
from mattingzoo.io import write_png
from mattingzoo.metrics import mse, sad
from mattingzoo.models import DIM
from mattingzoo.pictures import to_bytes
from mattingzoo.results import ALL_SCORES, CI95, KEYS
from mattingzoo.weights import save_weights

Run = Callable[..., Any]  # the fixture `run`


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    hparams: dict[str, Any] = {"width": 2, "convs": [1, 1, 1, 1, 1], "conv6": "conv1"}
    description = {"model": "dim", "variant": "test", "recipe": {"name": "none"}}
    return save_weights(
        DIM(**hparams), tmp_path / "w.safetensors", {**description, "hparams": hparams}
    )


def results(path: Path, file: str = "results.json") -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((path / file).read_text())
    return loaded


def test_table_results_and_resume(tmp_path: Path, folder: Path, weights: Path, run: Run) -> None:
    arguments = ["--model", "trimap,dim", "--data", "folder", "--data-root", str(folder)]
    arguments += ["--weights", str(weights), "--out", "out", "--save-mattes", "--panels"]
    first = run(*arguments)
    assert first.returncode == 0, first.stdout
    assert "dim test" in first.stdout and "constant on 3 images" in first.stdout
    entries = results(tmp_path / "out")
    assert [(e["model"], e["region"]) for e in entries] == [
        (model, region) for model in ("trimap", "dim") for region in ("unknown", "whole")
    ]
    for entry in entries:
        assert set(KEYS) <= set(entry)
        assert entry["n_images"] == 3 and entry["n_foregrounds"] == 3
    assert len({e["data_hash"] for e in entries}) == 1
    # The trimap baseline by hand: 128 wherever unknown.
    with (tmp_path / "out" / "per_image.csv").open() as file:
        rows = {(r["model"], r["name"], r["region"]): r for r in csv.DictReader(file)}
    assert len(rows) == 12
    expected = hand_scores(folder, "p0")
    assert float(rows["trimap", "p0", "unknown"]["SAD"]) == pytest.approx(expected[0], rel=1e-12)
    assert float(rows["trimap", "p0", "unknown"]["MSE"]) == pytest.approx(expected[1], rel=1e-12)
    # An empty unknown region has no MSE: it is left out of the mean, not counted as zero.
    both = [hand_scores(folder, name)[1] for name in ("p0", "p1")]
    assert entries[0]["MSE"] == pytest.approx(sum(both) / 2, rel=1e-12)
    assert len(list((tmp_path / "out" / "mattes" / "folder").glob("dim-*/p?.png"))) == 3
    assert len(list((tmp_path / "out" / "panels" / "folder").glob("trimap-*/p?.png"))) == 3

    # Again, from the journal alone, even after a torn line.
    journal = next((tmp_path / "out" / "journal").glob("dim-*.jsonl"))
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])
    again = run(*arguments)
    assert again.returncode == 0
    fresh = results(tmp_path / "out")
    drop = {"seconds_per_image", "peak_memory_mb"}
    assert [{k: v for k, v in e.items() if k not in drop} for e in fresh] == [
        {k: v for k, v in e.items() if k not in drop} for e in entries
    ]
    assert journal.read_text().splitlines()[:2] == lines[:2], "finished pictures were scored again"


@pytest.fixture
def folder_of_five(tmp_path: Path) -> Path:
    """Five pictures of odd sizes, soft mattes, trimaps with an unknown band."""
    rng = np.random.default_rng(1)
    for i in range(5):
        height, width = 40 + 7 * i, 61 - 5 * i
        y, x = np.mgrid[:height, :width]
        distance = np.hypot(y - height / 2, x - width / 2) - 8 - i
        alpha = np.clip(128 - 20 * distance + rng.normal(0, 15, distance.shape), 0, 255)
        alpha = np.where(distance < -7, 255, np.where(distance > 7, 0, alpha)).astype(np.uint8)
        trimap = np.select([distance < -7, distance > 7], [255, 0], 128).astype(np.uint8)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image[alpha > 128] //= 3
        for key, picture in {"image": image, "alpha": alpha, "trimap": trimap}.items():
            (tmp_path / "five" / key).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "five" / key / f"p{i}.png", picture)
    return tmp_path / "five"


def test_score_finds_the_same_numbers_on_the_same_mattes(
    tmp_path: Path,
    folder_of_five: Path,
    weights: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """To the last digit, per picture and mean: `mattingzoo score` on what run.py saves."""
    arguments = ["--model", "dim,closed-form", "--data", "folder", "--data-root"]
    arguments += [str(folder_of_five), "--weights", f"dim={weights}", "--out", "out"]
    assert run(*arguments, "--save-mattes").returncode == 0
    for model in ("dim", "closed-form"):
        [mattes] = (tmp_path / "out" / "mattes" / "folder").glob(f"{model}-*")
        command = ["score", "--pred", str(mattes), "--alpha", str(folder_of_five / "alpha")]
        command += ["--trimap", str(folder_of_five / "trimap"), "--workers", "1"]
        main([*command, "--name", model, "--data", "folder", "--out", str(tmp_path / "scores")])
    expected, found = results(tmp_path / "out"), results(tmp_path / "scores", "scores.json")
    same = ["model", "data", "region", "n_images", "n_foregrounds", "units", "metrics"]
    same += [key for score in ALL_SCORES for key in (score, CI95[score])]
    assert [{k: e[k] for k in same} for e in found] == [{k: e[k] for k in same} for e in expected]
    assert len(found) == 4 and all(e["Conn"] > 0 and e["Grad"] > 0 for e in found)
    same = ["model", "data", "region", "name", "foreground", *ALL_SCORES]
    ours, theirs = (cells(tmp_path / name, same) for name in ("out", "scores"))
    assert sorted(ours) == sorted(theirs) and len(ours) == 20
    capsys.readouterr()
    both = [str(tmp_path / name / "per_image.csv") for name in ("out", "scores")]
    main(["compare", *both, "--models", "dim"])
    assert capsys.readouterr().out.count("no difference shown") == 8
    main(["compare", both[1], "--region", "unknown"])
    assert "dim" in capsys.readouterr().out


def cells(folder: Path, columns: list[str]) -> list[list[str]]:
    with (folder / "per_image.csv").open() as file:
        return [[row[column] for column in columns] for row in csv.DictReader(file)]


def test_score_finds_the_same_numbers_on_built_in_data(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """There trimaps are made from alpha: they are written out as run.py made them."""
    arguments = ["--model", "trimap", "--data", "synthetic", "--limit", "2", "--save-mattes"]
    assert run(*arguments, "--out", "out").returncode == 0
    data = Synthetic(num_workers=0, limit=2)
    for batch in data.test_dataloader():
        assert batch is not None
        data.prepare(batch, ("trimap",))
        for key in ("alpha", "trimap"):
            (tmp_path / key).mkdir(exist_ok=True)
            write_png(tmp_path / key / f"{batch['name'][0]}.png", to_bytes(batch[key][0]))  # type: ignore[literal-required]
    [mattes] = (tmp_path / "out" / "mattes" / "synthetic").glob("trimap-*")
    main(["score", "--pred", str(mattes), "--alpha", "alpha", "--trimap", "trimap"])
    same = ["region", "name", *ALL_SCORES]
    ours, theirs = (cells(tmp_path / name, same) for name in ("out", "scores"))
    assert sorted(ours) == sorted(theirs) and len(ours) == 4


def hand_scores(folder: Path, name: str) -> tuple[float, float]:
    """SAD and MSE of 128 against the truth in the unknown rows, in plain numpy."""
    import cv2

    alpha = cv2.imread(str(folder / "alpha" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    error = (128 - alpha[5:-5].astype(np.float64)) / 255
    return float(np.abs(error).sum() / 1000), float((error**2).mean())


def test_hand_scores_agree_with_the_metrics(folder: Path) -> None:
    alpha = torch.zeros(1, 1, 14, 31)
    assert sad(alpha + 128 / 255, alpha) == pytest.approx(14 * 31 * 128 / 255 / 1000)
    assert mse(alpha + 128 / 255, alpha) == pytest.approx((128 / 255) ** 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "dimm"], "unknown name dimm"),
        (["--model", "trimap", "--data", "comp1k"], "--data synthetic"),
        (["--model", "trimap", "--data", "folder", "--data-root", "nowhere"], "not a folder"),
        (["--model", "dim", "--weights", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--model", "dim", "--weights", "dim=a.ckpt,trimap"], "cannot read 'trimap'"),
        (["--model", "trimap", "--device", "cuda"], "--device cuda cannot be used"),
        (["--model", "trimap", "--out", "/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_mistakes_get_one_sentence(run: Run, arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert sentence in done.stdout


def test_one_bad_file_stops_or_is_skipped(tmp_path: Path, folder: Path, run: Run) -> None:
    bad = folder / "alpha" / "p1.png"
    bad.write_bytes(bad.read_bytes()[:100])
    arguments = ["--model", "trimap", "--data", "folder", "--data-root", str(folder), "--out", "o"]
    stopped = run(*arguments)
    assert stopped.returncode == 2 and "p1.png" in stopped.stdout
    skipped = run(*arguments, "--on-bad-file", "skip")
    assert skipped.returncode == 0
    entry = results(tmp_path / "o")[0]
    assert entry["n_images"] == 2 and "skipped on 1 images" in entry["flags"]


def test_another_run_keeps_what_is_there(tmp_path: Path, folder: Path, run: Run) -> None:
    arguments = ["--data", "folder", "--data-root", str(folder), "--out", "o", "--region", "whole"]
    assert run("--model", "trimap,closed-form", *arguments).returncode == 0
    assert run("--model", "trimap", *arguments).returncode == 0
    assert sorted(e["model"] for e in results(tmp_path / "o")) == ["closed-form", "trimap"]
    with (tmp_path / "o" / "per_image.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6


def test_all_data_takes_those_with_a_root(tmp_path: Path, folder: Path, run: Run) -> None:
    arguments = ["--model", "trimap", "--data", "all", "--data-root", f"folder={folder}"]
    done = run(*arguments, "--limit", "1", "--out", "o")
    assert done.returncode == 0, done.stdout
    assert "left out" in done.stdout and "comp1k" in done.stdout
    assert {e["data"] for e in results(tmp_path / "o")} == {"folder", "synthetic"}


def test_baselines_solve_an_easy_picture() -> None:
    from mattingzoo.baselines import BASELINES

    ramp = torch.linspace(0, 1, 32).expand(1, 1, 24, 32).contiguous()
    alpha = ((ramp - 0.4) / 0.2).clamp(0, 1)
    image = torch.cat([alpha, torch.zeros_like(alpha), 1 - alpha], dim=1)
    trimap = torch.where((ramp > 0.3) & (ramp < 0.7), 0.5, alpha)
    for name, make in BASELINES.items():
        if "trimap" not in make().inputs:
            continue
        pred = make().matte({"image": image, "trimap": trimap, "name": [name]})
        error = (pred - alpha).abs()[trimap == 0.5].mean()
        assert pred.shape == alpha.shape
        assert torch.equal(pred[trimap != 0.5], trimap[trimap != 0.5])
        if name != "trimap":
            assert error < 0.12, f"{name}: {error}"


def test_options_of_a_data_set(tmp_path: Path, run: Run) -> None:
    arguments = ["--model", "trimap", "--data", "synthetic", "--limit", "1", "--out", "o"]
    done = run(*arguments, "--data-option", "synthetic.size=64")
    assert done.returncode == 0, done.stdout
    assert {e["data"] for e in results(tmp_path / "o")} == {"synthetic-64"}
    wrong = run(*arguments, "--data-option", "synthetic.colour=red")
    assert wrong.returncode == 2 and "synthetic has cache, length, size; got" in wrong.stdout
    other = run(*arguments, "--data-option", "p3m.subset=P3M-500-NP")
    assert other.returncode == 2 and "'p3m' is not one of --data" in other.stdout


def test_box_baseline_fills_the_box() -> None:
    from mattingzoo.baselines import BoxBaseline

    batch = {"image": torch.rand(2, 3, 5, 6), "box": torch.tensor([[1.0, 2, 4, 5], [0, 0, 0, 0]])}
    first, second = BoxBaseline().matte(batch)[:, 0]  # type: ignore[arg-type]
    assert first[2:5, 1:4].min() == 1 and first.sum() == 9 and second.sum() == 0


def test_prompts_are_said_and_jitter_makes_them_worse(
    tmp_path: Path, folder: Path, run: Run
) -> None:
    arguments = ["--model", "box,trimap", "--data", "folder", "--data-root", str(folder)]
    for options in ([], ["--prompt-jitter", "0.3"]):
        done = run(*arguments, *options, "--region", "whole", "--out", "o")
        assert done.returncode == 0, done.stdout
    sad = {(e["model"], e["prompt"]): e["SAD"] for e in results(tmp_path / "o")}
    assert set(sad) == {("box", "box"), ("box", "box ±30 %"), ("trimap", None)}
    assert sad["box", "box ±30 %"] != sad["box", "box"]
    assert "box (box ±30 %)" in done.stdout


def test_points_are_refused_by_what_takes_boxes_only(run: Run) -> None:
    done = run("--model", "box", "--data", "synthetic", "--prompt", "points")
    assert done.returncode == 2
    assert "BoxBaseline cannot be prompted by points, it takes box" in done.stdout


def test_baseline_without_known_foreground_keeps_its_trimap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mattingzoo.baselines import ClosedForm

    trimap = torch.full((1, 1, 8, 8), 0.5)
    batch = {"image": torch.rand(1, 3, 8, 8), "trimap": trimap, "name": ["all_unknown"]}
    assert torch.equal(ClosedForm().matte(batch), trimap)  # type: ignore[arg-type]
    assert "all_unknown" in caplog.text
