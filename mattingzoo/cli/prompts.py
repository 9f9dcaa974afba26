"""Boxes and clicks on the command line."""

import argparse
from typing import Any


def add_prompts(p: argparse.ArgumentParser) -> None:
    """Add `--box` and `--point`."""
    group = p.add_argument_group("which object, for models that are told (semat)")
    group.add_argument(
        "--box", type=_box, action="append", metavar="X0,Y0,X1,Y1",
        help="box around the object in pixels, right and bottom exclusive; several boxes give "
        "several mattes, NAME_alpha_1.png and so on",
    )  # fmt: skip
    group.add_argument(
        "--point", type=_point, action="append", metavar="X,Y[,0]",
        help="a click on the object in pixels, or beside it if a 0 follows; several clicks are of "
        "one object",
    )  # fmt: skip


def check_prompts(arguments: argparse.Namespace, module: Any, several: bool) -> None:
    """Refuse prompts that do not fit the model or the pictures.

    Raises:
        ValueError: If both kinds are given, if the model takes none of this kind or needs one that
            is not given, or if there are several pictures.
    """
    given = [kind for kind in ("box", "point") if getattr(arguments, kind)]
    if not given:
        if module.prompts:
            raise ValueError(
                f"{arguments.model} needs to be told the object; give --box X0,Y0,X1,Y1"
            )
        return
    if len(given) > 1:
        raise ValueError("--box and --point cannot be mixed; give one of them")
    if several:
        raise ValueError(f"--{given[0]} belongs to one picture, got several; run it for each")
    module.use_prompt("points" if given == ["point"] else "box")


def prompt_tensors(arguments: argparse.Namespace, height: int, width: int) -> dict[str, Any]:
    """Boxes [N, 4] or points [1, P, 3] for :meth:`mattingzoo.module.MattingModule.prompted`.

    Raises:
        ValueError: If a box or point lies outside the picture.
    """
    import torch

    for x0, y0, x1, y1 in arguments.box or ():
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(
                f"--box {x0:g},{y0:g},{x1:g},{y1:g} is no box of a picture of {width} x {height} "
                "pixels; expected 0 <= X0 < X1 <= width and 0 <= Y0 < Y1 <= height"
            )
    for x, y, _ in arguments.point or ():
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"--point {x:g},{y:g} is outside the picture of {width} x {height}")
    if arguments.box:
        return {"boxes": torch.tensor(arguments.box)}
    return {"points": torch.tensor([arguments.point])} if arguments.point else {}


def _box(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"a box is X0,Y0,X1,Y1, got {text!r}")
    return numbers


def _point(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if len(numbers) == 2:
        numbers = (*numbers, 1.0)
    if len(numbers) != 3 or numbers[2] not in (0, 1):
        raise argparse.ArgumentTypeError(
            f"a point is X,Y or, beside the object, X,Y,0, got {text!r}"
        )
    return numbers


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers and commas, got {text!r}") from None
