"""Clean plates and rough masks on the command line, of pictures and of clips."""

import argparse
from pathlib import Path
from typing import Any


def add_backgrounds(p: argparse.ArgumentParser) -> None:
    """Add what models with a captured background read."""
    group = p.add_argument_group("captured background")
    group.add_argument(
        "--background", type=Path,
        help="clean plate: the same view without the subject; for several pictures a folder with "
        "one of the same name each, or one for all",
    )  # fmt: skip
    group.add_argument(
        "--segmentation", type=Path,
        help="rough mask of the subject by any tool, which is softened; a folder or video for a "
        "clip. Default: made of what differs from the background",
    )  # fmt: skip
    group.add_argument(
        "--align", action="store_true",
        help="bring the background to the view of each picture, for a camera that was moved",
    )  # fmt: skip
    group.add_argument(
        "--working-size", type=int, metavar="PIXELS",
        help="predict in a square around the subject, brought to so many pixels; 512 is the "
        "released protocol of Background Matting. Default: the whole picture at its own size",
    )  # fmt: skip
    group.add_argument(
        "--max-components", type=int, metavar="N",
        help="keep only the N largest connected parts of the matte. Default: all",
    )  # fmt: skip


def check_backgrounds(arguments: argparse.Namespace, module: Any) -> None:
    """Refuse what the model does not look at, and numbers that mean nothing.

    Raises:
        ValueError: Naming the option.
    """
    read = {"background": "captured_background", "segmentation": "segmentation"}
    for option, key in read.items():
        unused = key not in module.inputs and arguments.working_size is None
        if getattr(arguments, option) is not None and unused:
            raise ValueError(
                f"{arguments.model} does not look at a {option}; leave out --{option}, or choose a "
                "model that does, e.g. --model background_matting"
            )
    for option in ("working_size", "max_components", "motion_step"):
        if (value := getattr(arguments, option)) is not None and value < 1:
            raise ValueError(f"--{option.replace('_', '-')} must be at least 1, got {value}")


def predict(
    arguments: argparse.Namespace,
    module: Any,
    fabric: Any,
    image: Any,
    trimap: Any = None,
    guides: Any = None,
) -> tuple[Any, dict[str, Any]]:
    """Matte and extras of one picture, in a box or as a whole, of all parts or the largest."""
    from mattingzoo.inference import predict_with_extras
    from mattingzoo.subject import keep_largest, predict_in_box

    if arguments.working_size is None:
        matte, extras = predict_with_extras(module, fabric, image, trimap, guides)
    else:
        size = arguments.working_size
        matte, extras = predict_in_box(module, fabric, image, guides or {}, size)
    if arguments.max_components is not None:
        matte = keep_largest(matte, arguments.max_components)
    return matte, extras
