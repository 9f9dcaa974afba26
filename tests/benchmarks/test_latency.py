"""benchmarks/latency.py as a user runs it, and the networks it compares."""

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "latency.py"
needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="needs pip install 'mattingzoo[export]'"
)


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("md16-1.0", 2.142),
        ("md16-0.75", 1.327),
        ("md8-0.5", 0.713),
        ("md8-0.35", 0.454),
        ("mmnet-1.4", 0.369),
        ("mmnet-0.5", 0.069),
    ],
)
def test_networks_have_the_papers_parameters(
    script: dict[str, Any], name: str, millions: float
) -> None:
    """Table 3 of arXiv 1904.03816, to the last digit printed."""
    assert round(script["parameters"](script["build"](name)) / 1e6, 3) == millions


@pytest.mark.parametrize("name", ["md8-0.35", "md16-0.5", "lraspp", "mmnet-0.35"])
def test_networks_give_a_matte_of_the_pictures_size(script: dict[str, Any], name: str) -> None:
    alpha = script["build"](name)(torch.rand(1, 3, 64, 64))
    assert alpha.shape == (1, 1, 64, 64)
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_output_stride_adds_work_but_no_parameters(script: dict[str, Any]) -> None:
    fine, coarse = script["build"]("md8-0.5"), script["build"]("md16-0.5")
    assert script["parameters"](fine) == script["parameters"](coarse)
    assert script["mega_macs"](fine, 64) > 1.2 * script["mega_macs"](coarse, 64)


def test_multiply_accumulates_of_mmnet(script: dict[str, Any]) -> None:
    assert script["mega_macs"](script["build"]("mmnet-1.0"), 128) == pytest.approx(81.9, rel=0.01)


def test_ratios_are_those_of_each_round(script: dict[str, Any]) -> None:
    # The second round was slow for both: the ratio of the medians would be 3 / 2.
    assert script["median_ratio"]([2.0, 40.0, 3.0], [1.0, 20.0, 2.0]) == 2
    assert script["quartiles"]([1.0, 2.0, 3.0, 4.0, 5.0]) == (2, 4)
    assert script["quartiles"]([7.0]) == (7, 7)


@needs_onnx
def test_table_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        monkeypatch,
        *("--models", "md16-0.35,mmnet-0.35", "--sizes", "32", "--runtimes", "eager", "onnx"),
        *("--threads", "1", "--rounds", "3", "--out", str(tmp_path / "new")),
    )
    assert "ratio to md16-0.35" in capsys.readouterr().out
    written = json.loads((tmp_path / "new" / "latency.json").read_text())
    assert written["rounds"] == 3 and written["machine"]["cores"] >= 1
    rows = {(row["model"], row["runtime"]): row for row in written["rows"]}
    models, runtimes = ("md16-0.35", "mmnet-0.35"), ("eager", "onnx")
    assert set(rows) == {(model, runtime) for model in models for runtime in runtimes}
    for (model, _), row in rows.items():
        low, high = row["quartiles"]
        assert 0 < low <= row["milliseconds"] <= high
        assert (row["ratio"] == 1) == (model == "md16-0.35")
        assert row["threads"] == 1 and row["size"] == 32
    assert rows["mmnet-0.35", "eager"]["parameters"] == 37_404


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "mmnet"], "no model 'mmnet'; there are mmnet-WIDTH"),
        (["--models", "md16-0.6"], "no model 'md16-0.6'"),
        (["--models", "mmnet-x"], "no model 'mmnet-x'"),
        (["--runtimes", "eager", "--threads", "0"], "--threads takes numbers of at least 1"),
        (["--rounds", "0"], "--rounds must be at least 1, got 0"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_compiled_networks_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--sizes", "32", "--runtimes", "compile", "--threads", "1", "--rounds", "2")
    run(monkeypatch, "--models", "mmnet-0.35", *options, "--out", str(tmp_path))
    (row,) = json.loads((tmp_path / "latency.json").read_text())["rows"]
    assert row["runtime"] == "compile" and row["milliseconds"] > 0
