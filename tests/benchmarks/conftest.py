"""benchmarks/run.py as a user runs it, and a small folder to run it on."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mattingzoo.io import write_png

RUN = Path(__file__).parents[2] / "benchmarks" / "run.py"


class Done(NamedTuple):
    returncode: int
    stdout: str


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run the script in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Done:
        command = [str(RUN), "--num-workers", "0", "--device", "cpu", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        try:
            runpy.run_path(str(RUN), run_name="__main__")
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capsys.readouterr()
        return Done(code, " ".join((shown.out + shown.err).split()))

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, the last without any unknown pixel; trimaps are given."""
    rng = np.random.default_rng(0)
    for i in range(3):
        image = rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)
        alpha = rng.integers(0, 256, (24, 31), dtype=np.uint8)
        trimap = np.full_like(alpha, 128)
        trimap[:5], trimap[-5:] = 0, 255
        alpha[:5], alpha[-5:] = 0, 255
        if i == 2:
            trimap[:] = alpha[:] = 255
        for key, picture in {"image": image, "alpha": alpha, "trimap": trimap}.items():
            (tmp_path / "set" / key).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "set" / key / f"p{i}.png", picture)
    return tmp_path / "set"
