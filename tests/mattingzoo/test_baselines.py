"""Baselines that look at nothing; those that solve are tested with the benchmark."""

from pathlib import Path

import pytest
import torch

from mattingzoo.baselines import BASELINES
from mattingzoo.batch import Batch
from mattingzoo.cli.load import known_models, load_model

CONSTANTS = {"all-foreground": 1.0, "all-background": 0.0, "mean": 0.5}


def picture() -> Batch:
    alpha = torch.zeros(1, 1, 20, 30)
    alpha[..., :10] = 1  # a third of it
    trimap = alpha.clone()
    trimap[..., 9:11] = 0.5
    return {"image": torch.rand(1, 3, 20, 30), "alpha": alpha, "trimap": trimap}


@pytest.mark.parametrize(("name", "value"), CONSTANTS.items())
def test_constants_read_the_image_alone(name: str, value: float) -> None:
    batch: Batch = {"image": torch.rand(2, 3, 5, 7)}
    baseline = load_model(name).module
    assert baseline.inputs == ("image",)
    assert torch.equal(baseline.matte(batch), torch.full((2, 1, 5, 7), value))


def test_constants_are_names_to_score_by() -> None:
    assert set(CONSTANTS) < set(BASELINES)
    assert set(CONSTANTS) < set(known_models())


@pytest.mark.parametrize(("name", "wrong"), [("all-foreground", 400), ("all-background", 200)])
def test_a_constant_is_scored_on_the_whole_image(name: str, wrong: int) -> None:
    batch = picture()
    module = load_model(name).module
    module.metrics.update(module.matte(batch), batch["alpha"], batch["trimap"], None)
    scores = module.metrics.compute()
    assert scores["SAD/whole"].item() == pytest.approx(wrong / 1000)
    assert scores["SAD/unknown"].item() == pytest.approx(20 / 1000)  # cannot tell the two apart


def test_the_mean_is_off_by_one_half_on_a_binary_matte() -> None:
    batch = picture()
    module = load_model("mean").module
    module.metrics.update(module.matte(batch), batch["alpha"], batch["trimap"], None)
    # 8 bits have no 0.5: 128 / 255
    assert module.metrics.compute()["MSE/whole"].item() == pytest.approx(0.25, abs=0.003)


def test_the_benchmark_scores_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    path = Path(__file__).parents[2] / "benchmarks" / "run.py"
    spec = spec_from_file_location("benchmark_run", path)
    assert spec is not None and spec.loader is not None
    run = module_from_spec(spec)
    spec.loader.exec_module(run)
    arguments = ["--model", "all-foreground,all-background,mean", "--data", "synthetic"]
    parsed = run.parser().parse_args([*arguments, "--limit", "2", "--num-workers", "0",
                                      "--device", "cpu", "--out", str(tmp_path)])  # fmt: skip
    run.run(parsed)
    rows = (tmp_path / "per_image.csv").read_text()
    assert all(f"{name}," in rows for name in CONSTANTS)
