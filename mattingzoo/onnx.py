"""Models as ONNX graphs of one fixed size, for runtimes that know nothing of PyTorch."""

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mattingzoo.module import MattingModule

#: Channels of the pictures that a graph may take.
CHANNELS = {
    "image": 3,
    "trimap": 1,
    "background": 3,
    "captured_background": 3,
    "segmentation": 1,
    "motion": 4,
}
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class FromTensors(nn.Module):
    """A model that takes pictures one after the other, in the order of its ``inputs``."""

    def __init__(self, module: MattingModule) -> None:
        super().__init__()
        self.module = module
        self.names = module.inputs

    def forward(self, *pictures: Tensor) -> Tensor:
        """Mattes [B, 1, H, W] in [0, 1]."""
        batch = dict(zip(self.names, pictures, strict=True))
        alpha: Tensor = self.module(batch)
        return alpha.clamp(0, 1)


def export_model(
    module: MattingModule,
    path: str | Path,
    height: int,
    width: int,
    description: Mapping[str, str] | None = None,
) -> float:
    """Write a model as an ONNX graph, run it, and compare its mattes with PyTorch's.

    The graph takes a picture under each name of ``module.inputs``, floats [1, C, height, width] in
    [0, 1], trimaps in {0, 0.5, 1}; and gives ``alpha`` [1, 1, height, width] in [0, 1].

    Args:
        module: The model; it is put into evaluation mode, on the CPU.
        path: File to write, ``.onnx``.
        height: Rows of its pictures.
        width: Columns of its pictures.
        description: What to write into the file's metadata besides the model's class.

    Returns:
        The largest difference between the two mattes of a picture of noise.

    Raises:
        ValueError: If the model reads something else than pictures, or a package is missing.
    """
    name = type(module).__name__
    others = [key for key in module.inputs if key not in CHANNELS]
    if others:
        raise ValueError(
            f"{name} reads {' and '.join(others)}; only models that read pictures alone "
            f"({', '.join(CHANNELS)}) can be exported"
        )
    if min(height, width) < 1:
        raise ValueError(f"the size must be at least 1 x 1 pixels, got {height} x {width}")
    inputs = noise(module.inputs, height, width)
    model = FromTensors(module.cpu()).eval()
    write_graph(model, path, inputs, {"model": name, **(description or {})})
    session = open_graph(path)
    (found,) = session.run(None, {key: picture.numpy() for key, picture in inputs.items()})
    with torch.inference_mode():
        expected = model(*inputs.values())
    return float((torch.from_numpy(found) - expected).abs().max())


def noise(names: tuple[str, ...], height: int, width: int) -> dict[str, Tensor]:
    """Pictures of noise [1, C, H, W] by name, always the same; trimaps in {0, 0.5, 1}."""
    generator = torch.Generator().manual_seed(0)
    pictures = {
        name: torch.rand(1, CHANNELS[name], height, width, generator=generator) for name in names
    }
    return {key: (2 * x).round() / 2 if key == "trimap" else x for key, x in pictures.items()}


def write_graph(
    model: nn.Module,
    path: str | Path,
    inputs: Mapping[str, Tensor],
    description: Mapping[str, str] | None = None,
) -> Path:
    """Write a network in evaluation mode as an ONNX graph of the sizes of ``inputs``.

    Args:
        model: Takes ``inputs`` in their order, gives one tensor, which the graph calls ``alpha``.
        path: File to write, ``.onnx``; weights of more than 2 GB go to a second file beside it.
        inputs: Examples, by the names they shall have.
        description: Metadata of the file.

    Raises:
        ValueError: If a package is missing, or the file's name does not end in ``.onnx``.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"graphs are written as .onnx, got {path.name!r}")
    check_packages()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's exporter about torch; nobody can act on them
        program: Any = torch.onnx.export(
            model,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["alpha"],
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(description or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path)
    return path


def open_graph(path: str | Path, threads: int = 0) -> Any:
    """A session of ONNX Runtime on the CPU; 0 threads takes one per core."""
    check_packages()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_packages() -> None:
    """Say how to install what ONNX needs.

    Raises:
        ValueError: If one of the packages is missing.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"ONNX needs {', '.join(missing)}; install with pip install 'mattingzoo[export]'"
        )
