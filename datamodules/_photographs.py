"""Photographs with mattes in the layout that AM-2k, P3M-10k and AIM-500 share."""

from pathlib import Path

from mattingzoo.datamodules._pairs import FilesSource, held_out, match
from mattingzoo.source import Split

#: Folders that need not be there: contract key to name.
TRIMAPS = {"trimap": "trimap"}
LAYERS = {"foreground": "fg", "background": "bg"}


class PhotographsSource(FilesSource):
    """``IMAGE/NAME.jpg`` with ``mask/NAME.png``, and what was made from both if it is there.

    Native keys are ``image`` and ``alpha``; ``trimap`` where there is a folder ``trimap``;
    ``foreground`` and ``background`` where there are ``fg`` and ``bg``, both estimated from image
    and matte. EXIF orientation is ignored, as the authors' loaders do.

    Args:
        folder: Folder that holds the others.
        image: Name of the folder of photographs.
        split: ``test`` takes all of them, ``train`` and ``val`` those that ``holdout`` gives them.
        holdout: How many, the last by name, validate.

    Raises:
        FileNotFoundError: If a folder is missing or empty, or a file lacks a partner.
        ValueError: If two files of a folder have one stem, or ``holdout`` leaves none to train on.
    """

    # Training keeps the photograph and turns the layers with it; they are estimates.
    natural = True

    def __init__(self, folder: Path, image: str, split: Split = "test", holdout: int = 0) -> None:
        folders = {"image": image, "alpha": "mask"}
        for optional in (TRIMAPS, LAYERS):
            if all((folder / name).is_dir() for name in optional.values()):
                folders |= optional
        files = match(folder, folders)
        if split != "test":
            files = files[held_out(len(files), holdout, split)]
        super().__init__([pictures["image"].stem for pictures in files], files, upright=False)
