"""Annotations in COCO's two formats, instances and panoptic, image by image.

The files come from elsewhere: sizes, ids and names in them are checked before they are used.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodules._coco_fusion import Mask, Segment
from mattingzoo.datamodules._pairs import contents
from mattingzoo.io import bad_file, read_rgb

MOST_PIXELS = 100_000_000  # of an annotated image; COCO's have 409,600
REMEDY = "take the annotations from the original release"


class Annotations(ABC):
    """The segments of images, decoded when asked for.

    Attributes:
        ids: Image ids in COCO, ascending.
    """

    ids: list[int]

    @abstractmethod
    def kinds(self, image_id: int) -> list[tuple[int, bool]]:
        """Category and crowd flag of every segment of an image, without decoding a mask."""

    @abstractmethod
    def segments(self, image_id: int, categories: Collection[int]) -> list[Segment]:
        """Segments of some categories, in the file's order.

        Raises:
            BadFileError: If a mask cannot be decoded; the message names file and annotation.
        """


def open_annotations(path: Path, panoptic: Path | None = None) -> Annotations:
    """Read an annotation file; which of the two formats it has is seen from its content.

    Args:
        path: JSON, instances (``annotations`` with ``segmentation``) or panoptic (``annotations``
            with ``segments_info``, as COCONut).
        panoptic: Folder of the PNGs of a panoptic file; None takes the folder beside the file that
            has its name without ``.json``.

    Raises:
        FileNotFoundError: If the folder of PNGs is not there.
        BadFileError: If the file is not what it should be.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise bad_file(path, str(error), "annotations as JSON", "get the file again") from error
    entries = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        raise bad_file(path, "no list of annotations", "COCO's instances or panoptic JSON", REMEDY)
    if "segments_info" not in entries[0]:
        return InstanceAnnotations(path, content)
    folder = path.with_suffix("") if panoptic is None else panoptic
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder; expected the PNGs of {path.name}; found beside it "
            f"{contents(path.parent)}; pass their folder as panoptic (--panoptic)"
        )
    return PanopticAnnotations(path, entries, folder)


class InstanceAnnotations(Annotations):
    """COCO instances: polygons or run lengths; masks of one image may overlap.

    Args:
        path: Where they come from, for messages.
        content: The file's content, ``images`` and ``annotations``.

    Raises:
        BadFileError: If an entry lacks what it should have.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self._sizes: dict[int, tuple[int, int]] = {}
        for k, image in enumerate(_entries(path, content.get("images"), "images")):
            where = f"image {k}"
            height, width = (_integer(path, image, key, where) for key in ("height", "width"))
            if not 0 < height * width <= MOST_PIXELS or height < 0:
                raise bad_file(path, f"{where}: {width} x {height}", "a picture's size", REMEDY)
            self._sizes[_image_id(path, image, "id", where)] = (height, width)
        self._of_image: dict[int, list[dict[str, Any]]] = {key: [] for key in self._sizes}
        for k, entry in enumerate(_entries(path, content["annotations"], "annotations")):
            where = f"annotation {k}"
            image_id = _image_id(path, entry, "image_id", where)
            _integer(path, entry, "category_id", where)
            if image_id not in self._of_image:
                found = f"{where} is of image {image_id}"
                raise bad_file(path, found, "an image listed in images", REMEDY)
            self._of_image[image_id].append(entry)
        self.ids = sorted(self._sizes)

    def kinds(self, image_id: int) -> list[tuple[int, bool]]:
        """Category and crowd flag of every segment of an image."""
        return [(e["category_id"], bool(e.get("iscrowd"))) for e in self._of_image[image_id]]

    def segments(self, image_id: int, categories: Collection[int]) -> list[Segment]:
        """Segments of some categories, decoded."""
        height, width = self._sizes[image_id]
        chosen = [e for e in self._of_image[image_id] if e["category_id"] in categories]
        segments = []
        for entry in chosen:
            try:
                mask = decode(entry.get("segmentation"), height, width)
            except ValueError as error:
                found = f"annotation {entry.get('id')} of image {image_id}: {error}"
                raise bad_file(self.path, found, "polygons or run lengths", REMEDY) from error
            segments.append(Segment(entry["category_id"], mask, bool(entry.get("iscrowd"))))
        return segments


class PanopticAnnotations(Annotations):
    """COCO panoptic: a PNG for each image whose colours are segment ids, R + 256 G + 65536 B.

    The image's id is read from the PNG's name. Masks of one image are disjoint. Stored areas are
    not trusted: COCONut's may be null.

    Args:
        path: Where they come from, for messages.
        entries: The file's ``annotations``.
        folder: Holds the PNGs.

    Raises:
        BadFileError: If an entry lacks what it should have, or names a file elsewhere.
    """

    def __init__(self, path: Path, entries: list[Any], folder: Path) -> None:
        self._of_image: dict[int, tuple[Path, list[dict[str, Any]]]] = {}
        for k, entry in enumerate(_entries(path, entries, "annotations")):
            where = f"annotation {k}"
            name = str(entry.get("file_name"))
            # Digits and nothing else, so that no name leads out of the folder.
            if not re.fullmatch(r"\d{1,12}\.png", name):
                raise bad_file(path, f"{where}: file_name {name!r}", "DIGITS.png", REMEDY)
            infos = list(_entries(path, entry.get("segments_info"), f"{where}, segments_info"))
            for info in infos:
                for key in ("id", "category_id"):
                    _integer(path, info, key, where)
            image_id = int(name.removesuffix(".png"))
            if image_id in self._of_image:
                raise bad_file(path, f"{name} occurs twice", "an entry for each image", REMEDY)
            self._of_image[image_id] = (folder / name, infos)
        self.ids = sorted(self._of_image)

    def kinds(self, image_id: int) -> list[tuple[int, bool]]:
        """Category and crowd flag of every segment of an image."""
        return [(s["category_id"], bool(s.get("iscrowd"))) for s in self._of_image[image_id][1]]

    def segments(self, image_id: int, categories: Collection[int]) -> list[Segment]:
        """Segments of some categories; a segment without pixels has an empty mask."""
        path, infos = self._of_image[image_id]
        red, green, blue = np.moveaxis(read_rgb(path, upright=False).astype(np.int32), 2, 0)
        drawn = red + 256 * green + 65536 * blue
        return [
            Segment(info["category_id"], drawn == info["id"], bool(info.get("iscrowd")))
            for info in infos
            if info["category_id"] in categories
        ]


def decode(segmentation: Any, height: int, width: int) -> Mask:
    """Mask [height, width] of COCO's ``segmentation``: polygons, or run lengths packed or not.

    Raises:
        ValueError: If it is none of them, or does not fit the size.
    """
    if isinstance(segmentation, list):
        mask = np.zeros((height, width), np.bool_)
        for polygon in segmentation:
            mask |= _polygon(polygon, height, width)
        return mask
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError(f"segmentation is {type(segmentation).__name__}, without counts")
    if segmentation.get("size") != [height, width]:
        raise ValueError(f"size {segmentation.get('size')} is not the image's {[height, width]}")
    counts = segmentation["counts"]
    return _runs(_unpack(counts) if isinstance(counts, str) else counts, height, width)


def _polygon(corners: Any, height: int, width: int) -> Mask:
    """Pixels whose centres lie inside a polygon [x0, y0, x1, y1, ...], by the even-odd rule.

    Nearer to COCO's own decoder than OpenCV's and Pillow's fill, which add the outline: small
    things would grow by a fifth.
    """
    try:
        points = np.array(corners, np.float64).reshape(-1, 2)
    except (ValueError, TypeError) as error:
        raise ValueError("a polygon is not a list of x, y, x, y, ...") from error
    if not np.isfinite(points).all():
        raise ValueError("a polygon has corners that are no numbers")
    columns, mask = np.arange(width) + 0.5, np.zeros((height, width), np.bool_)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = sorted((y0, y1))
        # Centres at r + 0.5 with low <= r + 0.5 < high.
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (low, high))
        if first < last:
            rows = np.arange(first, last) + 0.5
            crossings = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            mask[first:last] ^= columns > crossings[:, None]
    return mask


def _runs(counts: Any, height: int, width: int) -> Mask:
    """Runs of 0 and 1 in turn, beginning with 0, down the columns."""
    valid = isinstance(counts, list) and all(type(c) is int and c >= 0 for c in counts)
    if not valid or sum(counts) != height * width:
        raise ValueError(f"run lengths do not add up to {height} x {width} pixels")
    values = np.arange(len(counts)) % 2 == 1
    by_column = np.repeat(values, counts).reshape(width, height)
    return np.ascontiguousarray(by_column.T)


def _unpack(text: str) -> list[int]:
    """Run lengths from COCO's string: 5 bits a character; from the fourth number on differences."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 40:
            raise ValueError("packed run lengths are damaged")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:  # more characters of this number follow
            continue
        if digit & 16:  # negative
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("packed run lengths break off")
    return counts


def _entries(path: Path, entries: Any, what: str) -> Iterable[dict[str, Any]]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise bad_file(path, f"{what} is not a list of objects", "COCO's format", REMEDY)
    return entries


def _integer(path: Path, entry: dict[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is not int:
        raise bad_file(path, f"{where}: {key} is {value!r}", "an integer", REMEDY)
    return value


def _image_id(path: Path, entry: dict[str, Any], key: str, where: str) -> int:
    value = _integer(path, entry, key, where)
    if not 0 <= value < 10**12:
        raise bad_file(path, f"{where}: {key} is {value}", "an id of 12 digits at most", REMEDY)
    return value
