"""Models as ONNX graphs: what goes in, what is refused."""

from pathlib import Path

import pytest
import torch

from mattingzoo.baselines import BoxBaseline, TrimapBaseline
from mattingzoo.cli import main
from mattingzoo.models import DIM
from mattingzoo.onnx import export_model, noise


def test_noise_looks_like_pictures_and_trimaps() -> None:
    pictures = noise(("image", "trimap"), 40, 30)
    assert {name: tuple(x.shape) for name, x in pictures.items()} == {
        "image": (1, 3, 40, 30),
        "trimap": (1, 1, 40, 30),
    }
    assert set(pictures["trimap"].unique().tolist()) == {0, 0.5, 1}


def test_model_that_reads_a_trimap_at_an_odd_size(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs pip install 'mattingzoo[export]'")
    torch.manual_seed(0)
    module = DIM(width=2, convs=(1, 1, 1, 1, 1), conv6="conv1")
    # Where two pixels of a pooling window tie, rounding decides which one wins.
    assert export_model(module, tmp_path / "new" / "dim.onnx", 45, 70) < 1e-3


def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="BoxBaseline reads box; only models that read pictures"):
        export_model(BoxBaseline(), tmp_path / "x.onnx", 32, 32)
    with pytest.raises(ValueError, match="at least 1 x 1 pixels, got 0 x 32"):
        export_model(TrimapBaseline(), tmp_path / "x.onnx", 0, 32)
    with pytest.raises(ValueError, match=r"written as \.onnx, got 'x\.pb'"):
        export_model(TrimapBaseline(), tmp_path / "x.pb", 32, 32)
    with pytest.raises(SystemExit):
        main(["export-onnx", "--model", "dim", "--size", "1", "2", "3", "-o", "x.onnx"])
    assert "a side, or height and width; got 3 numbers" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs onnx, onnxscript, .* 'mattingzoo\[export\]'"):
        export_model(TrimapBaseline(), tmp_path / "x.onnx", 32, 32)
