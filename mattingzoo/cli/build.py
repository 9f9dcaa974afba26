"""`mattingzoo data build`: make a data set with a model of the zoo."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from mattingzoo.cli.matte import PRECISIONS


def register(actions: Any) -> None:
    """Add `data build`."""
    p = actions.add_parser(
        "build",
        help="make a data set from annotations and a matting model",
        description="Rebuild COCO-Matting: what a person holds or wears is fused into the person's "
        "mask, the mask becomes a trimap, a matting model fills in the alpha. Finished files are "
        "kept: stop and start it as you like. Without --matting-model only the fusion is counted.",
    )
    p.add_argument("name", choices=["coco-matting"], help="data set")
    p.add_argument("--coco", type=Path, help="folder with train2017/ or unlabeled2017/, or both")
    p.add_argument(
        "--annotations", required=True, type=Path, help="JSON of COCO instances or panoptic"
    )
    p.add_argument("--panoptic", type=Path, help="PNGs of a panoptic JSON; default: beside it")
    p.add_argument("--matting-model", help="name of a model that reads image and trimap")
    p.add_argument("--weights", help="its weight file; default: those that ship with it")
    p.add_argument("--out", required=True, type=Path, help="folder to make")
    p.add_argument("--compare", type=Path, help="list of the release's names to compare with")
    p.add_argument("--limit", type=int, default=0, help="do only so many images")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    p.add_argument("--precision", default="32-true", choices=PRECISIONS)
    _add_settings(p)
    p.set_defaults(run=run)


def _add_settings(p: argparse.ArgumentParser) -> None:
    """What decides about the result; the defaults are the paper's as far as they are known."""
    fusion = p.add_argument_group("fusion")
    fusion.add_argument(
        "--rule", default="contact", help="how a person owns an accessory: contact, box, boundary"
    )
    fusion.add_argument("--tau", type=float, default=0.8, help="smallest share of the owner")
    fusion.add_argument("--contact", type=int, default=4, help="kernel that decides about touching")
    fusion.add_argument(
        "--shared", default="drop-accessory",
        help="what to do where nobody owns it: drop-accessory, drop-persons",
    )  # fmt: skip
    trimap = p.add_argument_group("trimap")
    trimap.add_argument("--eta", type=float, default=12, help="kernel = sqrt(mask area) / eta")
    trimap.add_argument("--smallest-kernel", type=int, default=4, metavar="PIXELS")
    trimap.add_argument("--largest-kernel", type=int, default=199, metavar="PIXELS")
    filters = p.add_argument_group("filters, off unless given")
    filters.add_argument("--min-area", type=int, default=0, help="fewest pixels of a mask")
    filters.add_argument(
        "--min-agreement", type=float, default=0.0, help="smallest IoU of alpha > 0.5 and mask"
    )
    filters.add_argument(
        "--need-foreground", action="store_true", help="leave out masks that erosion empties"
    )


def run(arguments: argparse.Namespace) -> None:
    """Build and print the report; exit code 1 if a file could not be read."""
    data: Any = import_module("mattingzoo.datamodules.coco_matting")
    settings = data.BuildSettings(
        data.FusionSettings(arguments.rule, arguments.tau, arguments.contact, arguments.shared),
        arguments.eta,
        arguments.smallest_kernel,
        arguments.largest_kernel,
        arguments.min_area,
        arguments.min_agreement,
        arguments.need_foreground,
    )
    matte, about = (None, {}) if arguments.matting_model is None else _matte(arguments)
    report = data.build(
        arguments.annotations,
        arguments.out,
        None if matte is None else arguments.coco,
        matte,
        about,
        settings,
        arguments.panoptic,
        arguments.compare,
        arguments.limit,
    )
    _print(report)
    if report.failures:
        sys.exit(1)


def _matte(arguments: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model as a function of image and trimap, and what to note about it."""
    from mattingzoo.cli.errors import make_fabric
    from mattingzoo.cli.load import load_model
    from mattingzoo.inference import predict_matte

    if arguments.coco is None:
        raise ValueError("mattes need COCO's photographs; give their folder with --coco")
    fabric = make_fabric(arguments.device, arguments.precision)
    loaded = load_model(arguments.matting_model, arguments.weights)
    if not {"trimap"} <= set(loaded.module.inputs) <= {"image", "trimap"}:
        raise ValueError(
            f"--matting-model must read image and trimap alone, {loaded.model} reads "
            f"{', '.join(loaded.module.inputs)}; choose another model"
        )
    module = loaded.module.to(fabric.device).eval()
    about = {
        "matting_model": loaded.model,
        "variant": loaded.variant,
        "weights": loaded.weights,
        "weights_sha256": loaded.weights_sha256,
        "precision": arguments.precision,
    }
    return lambda image, trimap: predict_matte(module, fabric, image, trimap), about


def _print(report: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    view = Table("what", "number")
    view.columns[1].justify = "right"
    for meaning, number in report.rows():
        view.add_row(meaning, number)
    Console().print(view)
    for failure in report.failures:
        print(failure, file=sys.stderr)
