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


def test_the_difference_key_is_soft_between_its_thresholds() -> None:
    background = torch.full((1, 3, 1, 5), 0.5)
    image = background.clone()
    # Differences of one channel, up or down: none, the lower threshold, half-way, the upper, more.
    image[0, 1, 0] = 0.5 + torch.tensor([0.0, 0.08, 0.14, -0.2, 0.5])
    image[0, 2, 0, 2] = 0.45  # a smaller difference beside it changes nothing
    key = load_model("difference-key").module
    assert key.inputs == ("image", "captured_background")
    alpha = key.matte({"image": image, "captured_background": background})
    torch.testing.assert_close(alpha.view(-1), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_the_difference_key_finds_what_stands_before_a_perturbed_background() -> None:
    from mattingzoo.datamodules import Synthetic

    data = Synthetic(num_workers=0, limit=4)
    errors: dict[str, list[float]] = {"difference-key": [], "mean": []}
    for batch in data.val_dataloader():
        assert batch is not None
        for name, found in errors.items():
            module = load_model(name).module
            ready = data.prepare(dict(batch), module.inputs)  # type: ignore[arg-type]
            found.append(float((module.matte(ready) - ready["alpha"]).abs().mean()))
    assert sum(errors["difference-key"]) < 0.3 * sum(errors["mean"])


def test_the_benchmark_scores_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    path = Path(__file__).parents[2] / "benchmarks" / "run.py"
    spec = spec_from_file_location("benchmark_run", path)
    assert spec is not None and spec.loader is not None
    run = module_from_spec(spec)
    spec.loader.exec_module(run)
    scored = ["all-foreground", "all-background", "mean", "difference-key"]
    arguments = ["--model", ",".join(scored), "--data", "synthetic"]
    parsed = run.parser().parse_args([*arguments, "--limit", "2", "--num-workers", "0",
                                      "--device", "cpu", "--out", str(tmp_path)])  # fmt: skip
    run.run(parsed)
    rows = (tmp_path / "per_image.csv").read_text()
    assert all(f"{name}," in rows for name in scored)
