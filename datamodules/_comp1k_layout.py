"""Where everything lies in the Deep Image Matting release ("Combined_Dataset")."""

from pathlib import Path

from mattingzoo.datamodules._half import Half
from mattingzoo.io import read_names

ADOBE, OTHER = "Adobe-licensed images", "Other"


def training_half(root: Path, coco: Path | None = None) -> Half:
    """The training half: 100 backgrounds from COCO (``coco``, else ``train2014``) a foreground.

    Raises:
        FileNotFoundError: If the half is not there.
        mattingzoo.io.BadFileError: If a list is missing or holds other than plain, distinct names.
    """
    backgrounds = coco or root / "train2014"
    return _half(root, "Training_set", "training", (ADOBE, OTHER), 100, backgrounds, "coco")


def evaluation_half(root: Path, voc: Path | None = None) -> Half:
    """The test half: 20 backgrounds from VOC 2012 (``voc``, else ``VOCdevkit``) a foreground.

    Raises:
        FileNotFoundError: If the half is not there.
        mattingzoo.io.BadFileError: If a list is missing or holds other than plain, distinct names.
    """
    backgrounds = voc or root / "VOCdevkit" / "VOC2012" / "JPEGImages"
    half = _half(root, "Test_set", "test", (ADOBE,), 20, backgrounds, "voc")
    half.trimaps = half.folder / ADOBE / "trimaps"
    return half


def _half(
    root: Path,
    name: str,
    prefix: str,
    parts: tuple[str, ...],
    repeats: int,
    backgrounds: Path,
    option: str,
) -> Half:
    folder = root / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder; expected the layout of the Deep Image Matting "
            "release, Training_set/ and Test_set/ in one folder; pass that folder as root"
        )
    foreground_list = folder / f"{prefix}_fg_names.txt"
    background_list = folder / f"{prefix}_bg_names.txt"
    return Half(
        root=root,
        folder=folder,
        foregrounds=read_names(foreground_list),
        backgrounds=read_names(background_list),
        repeats=repeats,
        background_folder=backgrounds,
        foreground_list=foreground_list,
        background_list=background_list,
        dataset="comp1k",
        option=option,
        parts=parts,
    )
