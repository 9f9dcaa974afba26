"""`mattingzoo data prepare`: make footage ready for training."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from mattingzoo.cli.matte import PRECISIONS

#: What a model that makes segmentations may read: all that there is before one.
READABLE = {"image", "captured_background", "motion"}


def register(actions: Any) -> None:
    """Add `data prepare`."""
    p = actions.add_parser(
        "prepare",
        help="align plates with their pictures and make soft segmentations",
        description="Make footage with a captured background ready: each plate is brought to the "
        "view of its picture (refused where too little agrees), its exposure is checked, masks are "
        "softened. The result is a folder that --data captured reads. Finished frames are kept: "
        "stop and start it as you like.",
    )
    p.add_argument("name", choices=["captured"], help="data set")
    p.add_argument("--root", required=True, type=Path, help="the footage")
    p.add_argument("--out", type=Path, help="folder to make; default: ROOT-prepared")
    p.add_argument(
        "--subset", choices=["fixed-camera", "hand-held"], default="fixed-camera",
        help="which clips of the public release",
    )  # fmt: skip
    p.add_argument(
        "--fixed-camera", action="store_true", help="take plates as they are, align nothing"
    )
    p.add_argument(
        "--match-exposure", action="store_true",
        help="bring plates to the brightness of their pictures",
    )  # fmt: skip
    p.add_argument(
        "--segment-with", metavar="MODEL",
        help="make segmentations where there are none, with a model or baseline that needs neither "
        "trimap nor prompt, e.g. difference-key",
    )  # fmt: skip
    p.add_argument("--weights", help="its weight file; default: those that ship with it")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    p.add_argument("--precision", default="32-true", choices=PRECISIONS)
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Prepare and print the report; exit code 1 if a frame was refused or damaged."""
    from rich.console import Console

    data: Any = import_module("mattingzoo.datamodules.captured")
    root: Path = arguments.root
    out = arguments.out or root.with_name(f"{root.resolve().name}-prepared")
    settings = data.PrepareSettings(arguments.fixed_camera, arguments.match_exposure)
    segment, about = (None, {}) if arguments.segment_with is None else _segment(arguments)
    report = data.prepare(root, out, settings, segment, about, arguments.subset)
    Console().print(report.table())
    for sentence in [*report.notes(), *report.problems()]:
        print(sentence, file=sys.stderr)
    print(f"{len(report.figures)} frames in {out}; the report is {out / 'report.json'}")
    if report.problems():
        sys.exit(1)


def _segment(arguments: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model as a function of image and plate, and what to note about it."""
    from mattingzoo.cli.errors import make_fabric
    from mattingzoo.cli.load import load_model
    from mattingzoo.inference import predict_matte

    fabric = make_fabric(arguments.device, arguments.precision)
    loaded = load_model(arguments.segment_with, arguments.weights)
    strange = sorted(set(loaded.module.inputs) - READABLE)
    if strange:
        raise ValueError(
            f"--segment-with {loaded.model} reads {' and '.join(strange)}, which there is not "
            "before there is a segmentation; choose another model, e.g. difference-key"
        )
    module = loaded.module.to(fabric.device).eval()
    about = {"segment_with": loaded.model, "weights_sha256": loaded.weights_sha256}

    def segment(image: Any, plate: Any) -> Any:
        return predict_matte(module, fabric, image, guides={"captured_background": plate})

    return segment, about
