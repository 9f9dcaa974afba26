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
    """Predict the matte of one picture.

    Args:
        module: A model, on the device of ``fabric``.
        fabric: Gives device and precision.
        image: [H, W, 3], 8 bits.
        trimap: [H, W] of 0, 128 and 255, for models that read one.

    Returns:
        Matte [H, W], 8 bits, rounded to nearest.

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
        return to_bytes(module.matte(batch)[0])


def cut_out(image: Picture, matte: Picture) -> Picture:
    """Foreground colours under their matte, as RGBA [H, W, 4].

    The colours are estimated, so that nothing of the old background shines through hair.

    Source:
        Germer et al., Fast multi-level foreground estimation, ICPR 2020 (pymatting).
    """
    colours = estimate_foreground_ml(image / 255.0, matte / 255.0)
    rgb = np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    return np.dstack([rgb, matte])


def _tensor(picture: NDArray[Any], fabric: Fabric) -> torch.Tensor:
    channels_first = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(channels_first)).to(fabric.device)
