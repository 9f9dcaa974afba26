"""Mattes of one's own pictures, and cut-outs with the background's colour taken out."""

from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pymatting import estimate_foreground_ml

from mattingzoo.batch import Batch
from mattingzoo.module import MattingModule
from mattingzoo.ops import motion_from_image
from mattingzoo.pictures import Picture, to_bytes


def predict_matte(
    module: MattingModule, fabric: Fabric, image: Picture, trimap: Picture | None = None
) -> Picture:
    """Predict the matte of one picture; see :func:`predict_with_extras`, of which it is a part."""
    return predict_with_extras(module, fabric, image, trimap)[0]


def predict_with_extras(
    module: MattingModule, fabric: Fabric, image: Picture, trimap: Picture | None = None
) -> tuple[Picture, dict[str, Picture]]:
    """Predict the matte of one picture, and whatever else the model gives with it.

    Args:
        module: A model, on the device of ``fabric``.
        fabric: Gives device and precision.
        image: [H, W, 3], 8 bits.
        trimap: [H, W] of 0, 128 and 255, for models that read one.

    Returns:
        Matte [H, W], and by name the model's extras [H, W] or [H, W, 3]; 8 bits, rounded to
        nearest.

    Raises:
        ValueError: If the model needs an input that is not given, or sizes differ.
    """
    batch: Batch = {"image": _tensor(image / 255.0, fabric), "name": ["picture"]}
    if trimap is not None:
        if trimap.shape != image.shape[:2]:
            raise ValueError(
                f"the trimap has {trimap.shape[1]} x {trimap.shape[0]} pixels, the image "
                f"{image.shape[1]} x {image.shape[0]}; make them equal"
            )
        batch["trimap"] = _tensor(np.select([trimap == 0, trimap == 255], [0.0, 1.0], 0.5), fabric)
    if "motion" in module.inputs:
        batch["motion"] = motion_from_image(batch["image"])
    missing = [key for key in module.inputs if key not in batch]
    if missing:
        raise ValueError(
            f"{type(module).__name__} needs {' and '.join(missing)} besides the image; "
            + (
                "draw one (black, gray, white) and give it with --trimap"
                if "trimap" in missing
                else "choose another model"
            )
        )
    with fabric.autocast():
        matte, extras = module.matte_with_extras(batch)
    return to_bytes(matte[0]), {name: to_bytes(picture[0]) for name, picture in extras.items()}


def predict_prompted(
    module: MattingModule,
    fabric: Fabric,
    image: Picture,
    boxes: torch.Tensor | None = None,
    points: torch.Tensor | None = None,
) -> list[Picture]:
    """Predict the mattes of several objects of one picture, each told by a box or by clicks.

    Args:
        module: A model that takes prompts, on the device of ``fabric``.
        fabric: Gives device and precision.
        image: [H, W, 3], 8 bits.
        boxes: x0, y0, x1, y1 in pixels [N, 4], x1 and y1 exclusive.
        points: x, y and 1 on the object, 0 beside it [N, P, 3]; instead of boxes.

    Returns:
        A matte [H, W] for each object, 8 bits, rounded to nearest.
    """
    with fabric.autocast():
        mattes = module.eval().prompted(_tensor(image / 255.0, fabric), boxes, points)
    return [to_bytes(matte) for matte in mattes]


def cut_out(image: Picture, matte: Picture, colours: Picture | None = None) -> Picture:
    """Foreground colours under their matte, as RGBA [H, W, 4].

    They are the model's own, or else estimated, so that nothing of the old background shines
    through hair.

    Args:
        image: [H, W, 3], 8 bits.
        matte: [H, W], 8 bits.
        colours: The model's extra ``foreground`` [H, W, 3]; None estimates.

    Source:
        Germer et al., Fast multi-level foreground estimation, ICPR 2020 (pymatting).
    """
    if colours is None:
        estimated = estimate_foreground_ml(image / 255.0, matte / 255.0)
        colours = np.round(np.clip(estimated, 0, 1) * 255).astype(np.uint8)
    return np.dstack([colours, matte])


def _tensor(picture: NDArray[Any], fabric: Fabric) -> torch.Tensor:
    channels_first = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(channels_first)).to(fabric.device)
