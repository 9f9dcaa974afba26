"""`mattingzoo export-onnx`: a model as a graph for other runtimes."""

import argparse
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command."""
    p = commands.add_parser(
        "export-onnx",
        help="write a model as an ONNX graph of one size",
        description="Write a model that reads pictures as an ONNX graph of one fixed size, and "
        "compare its mattes with PyTorch's. Needs pip install 'mattingzoo[export]'.",
    )
    p.add_argument("--model", required=True, help="name of the model")
    p.add_argument("--weights", help="weight file; default: those that ship with the model")
    p.add_argument(
        "--size", required=True, nargs="+", type=int, metavar="PIXELS",
        help="side of the graph's pictures, or height and width",
    )  # fmt: skip
    p.add_argument("-o", "--out", required=True, type=Path, help="file to write, .onnx")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Export, and say how far the graph's mattes are from PyTorch's."""
    from mattingzoo.cli.load import load_model
    from mattingzoo.onnx import check_packages, export_model

    size: list[int] = arguments.size
    if len(size) > 2:
        raise ValueError(f"--size takes a side, or height and width; got {len(size)} numbers")
    check_packages()
    loaded = load_model(arguments.model, arguments.weights)
    about = {"variant": loaded.variant, "weights_sha256": loaded.weights_sha256 or ""}
    height, width = size[0], size[-1]
    difference = export_model(loaded.module, arguments.out, height, width, about)
    print(
        f"{arguments.out}: {arguments.out.stat().st_size / 2**20:.2f} MiB; {height} x {width} "
        f"pixels of {', '.join(loaded.module.inputs)}; mattes within {difference:.1e} of PyTorch's"
    )
