"""Mattes of one's own pictures, and cut-outs with the background's colour taken out."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pymatting import estimate_foreground_ml

from mattingzoo.adobe import fit_background
from mattingzoo.alignment import Alignment, AlignmentError, align, warp_plate
from mattingzoo.baselines import DifferenceKey
from mattingzoo.batch import Batch
from mattingzoo.module import MattingModule
from mattingzoo.ops import motion_from_image
from mattingzoo.pictures import Picture, to_bytes
from mattingzoo.segmentation import soften

#: What a picture may be given with besides a trimap, and how the command line is told of it.
GUIDES = {"captured_background": "--background", "segmentation": "--segmentation", "motion": None}


def predict_matte(
    module: MattingModule,
    fabric: Fabric,
    image: Picture,
    trimap: Picture | None = None,
    guides: Mapping[str, Picture] | None = None,
) -> Picture:
    """Predict the matte of one picture; see :func:`predict_with_extras`, of which it is a part."""
    return predict_with_extras(module, fabric, image, trimap, guides)[0]


def predict_with_extras(
    module: MattingModule,
    fabric: Fabric,
    image: Picture,
    trimap: Picture | None = None,
    guides: Mapping[str, Picture] | None = None,
) -> tuple[Picture, dict[str, Picture]]:
    """Predict the matte of one picture, and whatever else the model gives with it.

    Args:
        module: A model, on the device of ``fabric``.
        fabric: Gives device and precision.
        image: [H, W, 3], 8 bits.
        trimap: [H, W] of 0, 128 and 255, for models that read one.
        guides: 8-bit pictures by key of :data:`GUIDES`, for models that read them:
            captured_background [H, W, 3], segmentation [H, W], motion [H, W, 4]. Without motion
            the picture is a still; without a segmentation, but with a background, one is made of
            their difference.

    Returns:
        Matte [H, W], and by name the model's extras [H, W] or [H, W, 3]; 8 bits, rounded to
        nearest.

    Raises:
        ValueError: If the model needs an input that is not given, or sizes differ.
    """
    batch: Batch = {"image": _tensor(image / 255.0, fabric), "name": ["picture"]}
    pictures = dict(guides or {})
    if "segmentation" in module.inputs:
        pictures = with_segmentation(image, pictures)
    for key, picture in {"trimap": trimap, **pictures}.items():
        if picture is not None and key in module.inputs:
            _check_size(key, picture, image)
            values = picture / 255.0 if key in GUIDES else _three_values(picture)
            batch[key] = _tensor(values, fabric)  # type: ignore[literal-required]
    if "motion" in module.inputs and "motion" not in batch:
        batch["motion"] = motion_from_image(batch["image"])
    missing = [key for key in module.inputs if key not in batch]
    if missing:
        raise ValueError(
            f"{type(module).__name__} needs {' and '.join(missing)} besides the image; "
            + _way_out(missing[0])
        )
    with fabric.autocast():
        matte, extras = module.matte_with_extras(batch)
    return to_bytes(matte[0]), {name: to_bytes(picture[0]) for name, picture in extras.items()}


def with_segmentation(image: Picture, guides: Mapping[str, Picture]) -> dict[str, Picture]:
    """Guides with a segmentation, made of the captured background if there is none but that."""
    if "segmentation" in guides or "captured_background" not in guides:
        return dict(guides)
    made = rough_segmentation(image, guides["captured_background"])
    return {**guides, "segmentation": made}


def rough_segmentation(image: Picture, plate: Picture) -> Picture:
    """A soft segmentation of whatever differs from the captured background.

    Args:
        image: [H, W, 3], 8 bits.
        plate: The captured background [H, W, 3].

    Returns:
        [H, W], 8 bits.
    """
    _check_size("captured_background", plate, image)
    difference = cv2.absdiff(image, plate).max(axis=2)
    differs = np.where(difference > 255 * DifferenceKey.MIDDLE, 255, 0).astype(np.uint8)
    # Noise is single pixels; what is left of it by the median would grow into blobs.
    return soften(np.asarray(cv2.medianBlur(differs, 5), np.uint8))


class Plate:
    """A clean plate of one scene, brought to the view of one picture after the other.

    Args:
        picture: [H, W, 3], 8 bits.
        moved: Whether the camera was moved: the plate is aligned to each picture. Where that fails
            the last alignment that did not is taken.
    """

    def __init__(self, picture: Picture, moved: bool = False) -> None:
        self.picture = picture
        self.moved = moved
        self._last: Alignment | None = None
        self._refused = 0
        self._reason = ""

    def under(self, image: Picture, mask: Picture | None = None) -> Picture:
        """The plate [H, W, 3] in the view of a picture.

        Args:
            image: [H, W, 3], 8 bits.
            mask: Segmentation [H, W] of the subject, which says where not to look.

        Raises:
            ValueError: If the sizes differ though the camera was fixed.
            AlignmentError: If it cannot be aligned, and has not been before.
        """
        if not self.moved:
            _check_size("captured_background", self.picture, image)
            return self.picture
        try:
            self._last = align(self.picture, image, mask)
        except AlignmentError as error:
            if self._last is None:
                raise
            self._refused += 1
            self._reason = str(error)
        return warp_plate(self.picture, image, self._last.matrix, mask)

    def note(self) -> str:
        """One sentence about pictures it could not be aligned to; empty if there are none."""
        if not self._refused:
            return ""
        return f"the background kept its place in {self._refused} pictures: {self._reason}"


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


def composite_over(cutout: Picture, over: Picture) -> Picture:
    """A cut-out [H, W, 4] laid over a colour [1, 1, 3] or a picture, which is cut to fit.

    Returns:
        [H, W, 3], 8 bits.
    """
    height, width = cutout.shape[:2]
    if over.shape[:2] != (1, 1):
        over = fit_background(over, height, width)
    alpha = cutout[..., 3:] / 255
    return np.asarray(np.round(cutout[..., :3] * alpha + over * (1 - alpha)), np.uint8)


def _three_values(trimap: Picture) -> NDArray[Any]:
    return np.select([trimap == 0, trimap == 255], [0.0, 1.0], 0.5)


def _check_size(key: str, picture: Picture, image: Picture) -> None:
    if picture.shape[:2] != image.shape[:2]:
        raise ValueError(
            f"the {key.replace('_', ' ')} has {picture.shape[1]} x {picture.shape[0]} pixels, the "
            f"image {image.shape[1]} x {image.shape[0]}; make them equal"
        )


def _way_out(key: str) -> str:
    if key == "trimap":
        return "draw one (black, gray, white) and give it with --trimap"
    if GUIDES.get(key):
        return f"give it with {GUIDES[key]}"
    return "choose another model"


def _tensor(picture: NDArray[Any], fabric: Fabric) -> torch.Tensor:
    channels_first = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(channels_first)).to(fabric.device)
