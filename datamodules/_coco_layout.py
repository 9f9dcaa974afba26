"""Names and folders of COCO-Matting: what a file's name tells, and where its photograph lies."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from mattingzoo.datamodules._pairs import contents
from mattingzoo.io import bad_file

#: Folder of the release: one PNG for each matte, trimap and alpha side by side.
PAIRS = "COCO-Matting_trimap_alpha"

#: Folders of COCO that hold the photographs; no image id occurs in both.
PHOTO_FOLDERS = ("train2017", "unlabeled2017")

_NAME = re.compile(
    r"(?P<id>\d{12})(?:_(?P<names>[a-z ]+(?:_[a-z ]+)*))?_(?P<number>\d{1,3})", re.ASCII
)
_PHOTO = re.compile(r"(?P<id>\d{1,12})\.(?:jpe?g|png)", re.IGNORECASE | re.ASCII)


class MatteName(NamedTuple):
    """What the name of a matte tells: ``000000001756_handbag_handbag_00``.

    Attributes:
        image_id: The image's id in COCO.
        accessories: What was fused into the person, a name for each segment, in their order.
        number: Counts the mattes of an image from 0; there may be gaps.
    """

    image_id: int
    accessories: tuple[str, ...]
    number: int

    def __str__(self) -> str:
        """The file's stem."""
        return "_".join([f"{self.image_id:012d}", *self.accessories, f"{self.number:02d}"])


def parse_name(stem: str) -> MatteName | None:
    """Read a file's stem from both ends, for names in between hold blanks; None if it is no matte.

    At least the id and the number must be there; all files of the release name an accessory, too.
    """
    found = _NAME.fullmatch(stem)
    if found is None:
        return None
    names = tuple(found["names"].split("_")) if found["names"] else ()
    return MatteName(int(found["id"]), names, int(found["number"]))


def require_name(path: Path) -> MatteName:
    """What a matte's file name tells.

    Raises:
        BadFileError: If it is named otherwise.
    """
    name = parse_name(path.stem)
    if name is None:
        raise bad_file(
            path,
            "not the name of a matte",
            "IMAGE_ACCESSORY_NUMBER.png with the 12 digits of a COCO image, as "
            "000000000999_baseball bat_00.png",
            "move other pictures elsewhere",
        )
    return name


class Sample(NamedTuple):
    """Files of one matte; trimap and alpha may be one file, side by side."""

    name: str
    image_id: int
    image: Path
    trimap: Path
    alpha: Path


class Photographs:
    """The photographs of COCO by image id.

    Args:
        coco: Folder that holds ``train2017`` or ``unlabeled2017``, or both.
        folders: Which of them to look into.

    Raises:
        FileNotFoundError: If it holds none of them; the message names what it holds.
    """

    def __init__(self, coco: Path, folders: Sequence[str] = PHOTO_FOLDERS) -> None:
        present = [coco / name for name in folders if (coco / name).is_dir()]
        if not present:
            raise FileNotFoundError(
                f"{coco} lacks {' and '.join(f'{name}/' for name in folders)}; expected COCO's "
                f"photographs in folders of these names; found {contents(coco)}; pass the folder "
                "that holds them as coco"
            )
        self.coco = coco
        # Names, not paths: there are a quarter of a million.
        self._found = {
            int(photo["id"]): (folder, photo.string)
            for folder in reversed(present)
            for photo in (_PHOTO.fullmatch(entry.name) for entry in os.scandir(folder))
            if photo is not None
        }

    def find(self, image_id: int) -> Path | None:
        """The photograph of an image id, None if it is not there."""
        folder, name = self._found.get(image_id, (None, ""))
        return None if folder is None else folder / name


def read_index(path: Path, coco: Path, matte_key: str, image_key: str) -> dict[str, Path | None]:
    """Mattes named by a JSON, a list of objects, with their photographs where it names them.

    Args:
        path: The JSON; it comes from elsewhere, so its paths may not leave their folders.
        coco: What photographs' paths are relative to.
        matte_key: Key of an entry for the matte; only the file's name counts, not its folder.
        image_key: Key of an entry for the photograph; it may be missing.

    Returns:
        Photographs by the mattes' file names, None where the entry has none.

    Raises:
        BadFileError: If it is no such list, or a path leads out of its folder.
    """
    remedy = "take it from the original release"
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise bad_file(path, str(error), "a list as JSON", remedy) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise bad_file(path, "no list of objects", f"a list of objects with {matte_key!r}", remedy)
    found: dict[str, Path | None] = {}
    for k, entry in enumerate(entries):
        matte, image = entry.get(matte_key), entry.get(image_key)
        if matte is None:
            keys = f"entry {k} has {', '.join(map(repr, entry)) or 'nothing'}"
            raise bad_file(path, keys, f"{matte_key!r} in every entry", "set matte_key")
        for text in (matte, *([] if image is None else [image])):
            if not _stays_inside(text):
                expected = "a path inside the data set, relative to it"
                raise bad_file(path, f"entry {k}: {text!r}", expected, remedy)
        found[PureWindowsPath(matte).name] = None if image is None else coco / image
    return found


def _stays_inside(path: Any) -> bool:
    """Whether a path is relative and never leaves its root, by Windows' stricter rules."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    parts = PureWindowsPath(path)
    return not parts.anchor and ".." not in parts.parts and parts.name != ""
