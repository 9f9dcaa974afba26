"""How COCO-Matting is made of segmentations: accessory fusion, and trimaps of its masks.

Pure functions of masks; :mod:`mattingzoo.datamodules._coco_build` runs them over a data set. The
constants are those that reviews attribute to Xia et al. 2024 (SEMat, arXiv 2410.06593); what each
of them does in the paper is not known for certain, see :class:`FusionSettings`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from mattingzoo.io import Picture

Mask = NDArray[np.bool_]
Rule = Literal["contact", "box", "boundary"]
Shared = Literal["drop-accessory", "drop-persons"]

PERSON = 1

#: The 40 classes of COCO that occur in the release, by id; glasses and cups are not among them.
ACCESSORIES = {
    27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee",
    35: "skis", 36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat",
    40: "baseball glove", 41: "skateboard", 42: "surfboard", 43: "tennis racket", 44: "bottle",
    48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana", 53: "apple", 54: "sandwich",
    55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog", 59: "pizza", 60: "donut", 61: "cake",
    74: "mouse", 75: "remote", 76: "keyboard", 77: "cell phone", 84: "book", 85: "clock",
    87: "scissors", 88: "teddy bear", 89: "hair drier", 90: "toothbrush",
}  # fmt: skip


class Segment(NamedTuple):
    """One segment of an image.

    Attributes:
        category: Its id in COCO.
        mask: [H, W].
        crowd: Whether it stands for a group that was not taken apart.
    """

    category: int
    mask: Mask
    crowd: bool = False


@dataclass(frozen=True)
class FusionSettings:
    """Which accessories go with which person.

    An accessory belongs to the person of the largest share, if that share reaches ``tau``. The
    share is, by ``rule``, among the persons that the dilated accessory touches:

    - ``contact``: this person's part of all person pixels that the dilated accessory covers;
    - ``box``: the part of the accessory's box that lies in the person's box;
    - ``boundary``: the part of the accessory's boundary pixels next to this person.

    Attributes:
        rule: See above. Which of them the paper uses is not known.
        tau: Smallest share. 0.8 is the paper's constant, its role is not known.
        contact: Diameter in pixels of the elliptic kernel that decides about touching. An even one
            reaches a pixel further to the right and down, as OpenCV's dilation does.
        shared: What becomes of an accessory that touches persons and belongs to none of them:
            ``drop-accessory`` leaves it out, ``drop-persons`` leaves out all who touch it, so that
            no matte ends at something held.

    Raises:
        ValueError: If a value is none of the above or outside its range.
    """

    rule: Rule = "contact"
    tau: float = 0.8
    contact: int = 4
    shared: Shared = "drop-accessory"

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, value, known in (
            ("rule", self.rule, get_args(Rule)),
            ("shared", self.shared, get_args(Shared)),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if not 0 < self.tau <= 1:
            raise ValueError(f"tau must lie in (0, 1], got {self.tau}; the paper's is 0.8")
        if self.contact < 1:
            raise ValueError(f"contact must be at least 1 pixel, got {self.contact}")


class Fused(NamedTuple):
    """A person with accessories.

    Attributes:
        names: Of the accessories, in the order of the segments.
        mask: The person and the accessories [H, W].
    """

    names: tuple[str, ...]
    mask: Mask


@dataclass
class Fusion:
    """What became of the segments of one image.

    Attributes:
        mattes: The persons with accessories, in the order of the segments.
        counts: How many segments went where, by the keys of
            :data:`mattingzoo.datamodules._coco_report.STEPS`.
    """

    mattes: list[Fused] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def fuse(segments: Sequence[Segment], settings: FusionSettings) -> Fusion:
    """Accessory fusion: unite each person of an image with what this person alone holds or wears.

    Crowds and classes other than persons and :data:`ACCESSORIES` are left out. A person without
    accessories gives no matte: the release has none.

    Args:
        segments: All of one image, masks of one size. They may overlap.
        settings: Which accessory belongs to whom.
    """
    result = Fusion()
    persons = _usable(segments, {PERSON}, "persons", result.counts)
    accessories = _usable(segments, ACCESSORIES.keys(), "accessories", result.counts)
    held: dict[int, list[Segment]] = {k: [] for k in range(len(persons))}
    dropped: set[int] = set()
    for accessory in accessories:
        holder, touching = _holder(accessory.mask, [p.mask for p in persons], settings)
        if holder is not None:
            held[holder].append(accessory)
        elif settings.shared == "drop-persons":
            dropped.update(touching)
        fate = "fused" if holder is not None else "shared" if touching else "apart"
        result.counts[f"accessories_{fate}"] += 1
    for k, person in enumerate(persons):
        if k in dropped:
            result.counts["persons_sharing"] += 1
        elif not held[k]:
            result.counts["persons_alone"] += 1
        else:
            names = tuple(ACCESSORIES[accessory.category] for accessory in held[k])
            masks = [person.mask, *(accessory.mask for accessory in held[k])]
            result.mattes.append(Fused(names, np.logical_or.reduce(masks)))
    result.counts["mattes"] = len(result.mattes)
    return result


def kernel_size(area: int, eta: float = 12, smallest: int = 4, largest: int = 199) -> int:
    """Diameter in pixels of the kernel that makes a trimap of a mask: sqrt(area) / eta, rounded."""
    return min(max(smallest, round(math.sqrt(area) / eta)), largest)


def trimap_from_mask(mask: Mask, kernel: int) -> Picture:
    """Trimap of a mask: foreground where it is eroded, background where its complement is.

    Pixels beyond the image count as neither, so a mask that is cut off by the border is known up
    to the border.

    Args:
        mask: [H, W].
        kernel: Diameter of the elliptic kernel; the unknown band is about as wide.

    Returns:
        [H, W] of 0, 128 and 255.
    """
    inside, outside = (_morph(cv2.erode, part, kernel) for part in (mask, ~mask))
    return np.select([inside, outside], [np.uint8(255), np.uint8(0)], np.uint8(128))


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = _count(first | second)
    return _count(first & second) / union if union else 1.0


def _usable(
    segments: Sequence[Segment], categories: Any, what: str, counts: Counter[str]
) -> list[Segment]:
    """Segments of some categories, without crowds and without those that have no pixel."""
    of_kind = [segment for segment in segments if segment.category in categories]
    single = [segment for segment in of_kind if not segment.crowd]
    seen = [segment for segment in single if segment.mask.any()]
    counts[f"{what}_crowd"] += len(of_kind) - len(single)
    counts[f"{what}_empty"] += len(single) - len(seen)
    counts[what] += len(seen)
    return seen


def _holder(
    accessory: Mask, persons: Sequence[Mask], settings: FusionSettings
) -> tuple[int | None, list[int]]:
    """The person to whom an accessory belongs, if there is one, and all whom it touches."""
    reached = _morph(cv2.dilate, accessory, settings.contact)
    contacts = [_count(reached & person) for person in persons]
    touching = [k for k, contact in enumerate(contacts) if contact]
    if not touching:
        return None, []
    if settings.rule == "contact":
        shares = {k: contacts[k] / sum(contacts) for k in touching}
    elif settings.rule == "box":
        shares = {k: _box_share(accessory, persons[k]) for k in touching}
    else:
        edge = accessory & ~_morph(cv2.erode, accessory, 3)
        shares = {k: _edge_share(edge, persons[k], settings.contact) for k in touching}
    best = max(touching, key=lambda k: (shares[k], contacts[k]))
    return (best if shares[best] >= settings.tau else None), touching


def _box_share(accessory: Mask, person: Mask) -> float:
    left, top, right, bottom = _box(accessory)
    x0, y0, x1, y1 = _box(person)
    width = max(0, min(right, x1) - max(left, x0))
    height = max(0, min(bottom, y1) - max(top, y0))
    return width * height / ((right - left) * (bottom - top))


def _edge_share(edge: Mask, person: Mask, contact: int) -> float:
    """Part of the boundary pixels that the dilated person reaches; 0 if there is no boundary."""
    return _count(edge & _morph(cv2.dilate, person, contact)) / max(_count(edge), 1)


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right, bottom; the last two exclusive."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return left, top, left + width, top + height


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _morph(operation: Any, mask: Mask, kernel: int) -> Mask:
    """Erode or dilate; OpenCV leaves pixels beyond the image out of either."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
    changed: Mask = operation(mask.view(np.uint8), ellipse).view(np.bool_)
    return changed
