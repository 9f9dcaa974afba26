"""MMNet as a graph for phones: the same mattes, made of few and plain operations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mattingzoo.batch import Batch
from mattingzoo.cli import main
from mattingzoo.models import MMNet
from mattingzoo.onnx import export_model, open_graph
from mattingzoo.weights import save_weights

onnx = pytest.importorskip("onnx", reason="needs pip install 'mattingzoo[export]'")


def trained_looking(size: int) -> MMNet:
    """Random weights, and statistics other than those of a network never trained."""
    torch.manual_seed(0)
    module = MMNet(width=0.5, size=size)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    return module.eval()


def test_graph_of_256_pixels_equals_pytorch_and_knows_only_plain_operations(tmp_path: Path) -> None:
    path = tmp_path / "mmnet.onnx"
    assert export_model(trained_looking(256), path, 256, 256) < 1e-5
    operations = {node.op_type for node in onnx.load(path).graph.node}
    assert operations <= {"Conv", "Clip", "Pad", "Concat", "Resize", "Softmax", "Slice"}


def test_command_writes_a_graph_of_128_pixels_and_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, path = trained_looking(128), tmp_path / "m.onnx"
    description = {"model": "mmnet", "variant": "half", "hparams": dict(module.hparams)}
    weights = str(save_weights(module, tmp_path / "w.safetensors", description))
    main(
        ["export-onnx", "--model", "mmnet", "--weights", weights, "--size", "128", "-o", str(path)]
    )
    assert "128 x 128 pixels of image; mattes within" in capsys.readouterr().out
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert about["model"] == "MMNet" and about["variant"] == "half"
    assert len(about["weights_sha256"]) == 64
    image = torch.rand(1, 3, 128, 128)
    (alpha,) = open_graph(path, threads=1).run(["alpha"], {"image": image.numpy()})
    np.testing.assert_allclose(alpha, module.matte(Batch(image=image)).numpy(), atol=1e-5)
