"""All instances of an image scored at once, in an evaluation that goes one by one."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mattingzoo.gathering import Gathering, summarise_instances
from mattingzoo.io import read_gray, write_png
from mattingzoo.metrics.instances import IMQ
from mattingzoo.source import Pictures, Source

RUN = Path(__file__).parents[2] / "benchmarks" / "run.py"


class People(Source):
    """Names only."""

    native = frozenset({"image", "alpha"})

    def __init__(self, images: list[str] | None) -> None:
        self.names = ["a0", "a1", "b0", "c0", "c1", "c2"]
        self.foreground_names = self.names
        self.images = images

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        raise AssertionError("nothing is to be loaded here")


IMAGES = ["a", "a", "b", "c", "c", "c"]


def matte(column: int) -> Tensor:
    alpha = torch.zeros(1, 1, 8, 24)
    alpha[..., 4 * column : 4 * column + 4] = 0.8
    return alpha


def test_rows_come_with_the_last_of_an_image_and_make_the_metric() -> None:
    gathering, metric = Gathering(People(IMAGES)), IMQ()
    # Each matte of c belongs to a neighbour: matched all the same, for IMQ asks for no order.
    pred = [matte(0), matte(1), matte(0), matte(4), matte(3), matte(5) * 0.9]
    alpha = [matte(0), matte(2), matte(0), matte(3), matte(4), matte(5)]
    rows = [
        gathering.add(name, p, a)
        for name, p, a in zip(People(IMAGES).names, pred, alpha, strict=True)
    ]
    assert [row is not None for row in rows] == [False, True, True, False, False, True]
    for group in ([0, 1], [2], [3, 4, 5]):
        metric.update(torch.cat([pred[i] for i in group]), torch.cat([alpha[i] for i in group]))
    found = summarise_instances([row for row in rows if row is not None])
    assert found is not None and found["n_images"] == 3
    for name, value in metric.compute().items():
        assert found[name] == pytest.approx(float(value), abs=1e-12)
    assert found["RQ"] == pytest.approx(5 / 6)


def test_an_image_half_done_comes_again() -> None:
    assert Gathering(People(IMAGES)).whole({"a0", "a1", "c0", "c2"}) == {"a0", "a1"}
    assert Gathering(People(None)).whole({"a0", "c2"}) == {"a0", "c2"}


def test_without_several_to_an_image_there_is_nothing() -> None:
    assert Gathering(People(None)).add("a0", matte(0), matte(0)) is None
    assert summarise_instances([]) is None


@pytest.fixture
def him2k(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for image, count in {"party": 3, "walk": 1}.items():
        (tmp_path / "images" / "natural").mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / "images" / "natural" / f"{image}.png", noise(rng, 20, 36, 3))
        for k in range(count):
            alpha = np.zeros((20, 36), np.uint8)
            alpha[4 : 16 - k, 12 * k + 1 : 12 * k + 10] = 255
            alpha[5 + k, 12 * k + 3] = 100
            (tmp_path / "alphas" / "natural" / image).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "alphas" / "natural" / image / f"{k:02d}.png", alpha)
    return tmp_path


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def test_run_prints_it_and_resumes_at_an_image_s_begin(
    him2k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--model", "box", "--data", "him2k", "--data-root", str(him2k), "--out", str(out)]
    arguments += ["--save-mattes", "--device", "cpu", "--num-workers", "0"]
    monkeypatch.setattr(sys, "argv", [str(RUN), *arguments])
    runpy.run_path(str(RUN), run_name="__main__")
    shown = " ".join(capsys.readouterr().out.split())
    entries = json.loads((out / "results.json").read_text())
    assert [entry["instances"] is None for entry in entries] == [True, False]
    metric = IMQ()
    for image in ("party", "walk"):
        files = sorted((him2k / "alphas" / "natural" / image).iterdir())
        folder = next((out / "mattes").glob("him2k*/box-*"))
        pred = [read_gray(folder / f"{image}_{file.stem}.png") for file in files]
        alpha = [read_gray(file) for file in files]
        metric.update(*(torch.from_numpy(np.stack(m))[:, None] for m in (pred, alpha)))
    expected = metric.compute()
    for name, value in expected.items():
        assert entries[1]["instances"][name] == pytest.approx(float(value), abs=1e-12)
    assert f"IMQ ×100 of 2 images: MAD {100 * expected['IMQ/MAD']:.1f}" in shown
    # Stopped after the second of three persons: all three are predicted again, and the result is
    # the same.
    journal = next((out / "journal").glob("box-*.jsonl"))
    journal.write_text("\n".join(journal.read_text().splitlines()[:2]) + "\n")
    runpy.run_path(str(RUN), run_name="__main__")
    again = json.loads((out / "results.json").read_text())
    assert again[1]["instances"] == entries[1]["instances"]
