"""RefMatte-RW100, a test set of referring image matting."""

import json
import re
from pathlib import Path

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import (
    FilesSource,
    by_stem,
    require_folders,
    require_partners,
    require_test,
)
from mattingzoo.io import bad_file
from mattingzoo.source import Source, Split

LABELS = "refmatte_rw100_label.json"


class RefMatteRW100Source(FilesSource):
    """One sample for each entity: ``mask/NAME_J.png`` over ``image/NAME.jpg``.

    Args:
        root: Folder that holds both.

    Raises:
        FileNotFoundError: If a folder or a mask's image is missing.
        ValueError: If a mask is named otherwise.
    """

    def __init__(self, root: Path) -> None:
        require_folders(root, ("image", "mask"))
        self.root = root
        images, masks = by_stem(root / "image"), by_stem(root / "mask")
        strange = [path for stem, path in masks.items() if not re.fullmatch(r".+_\d+", stem)]
        if strange:
            found = f"one of {len(strange)} masks without a number"
            raise bad_file(strange[0], found, "NAME_J.png", "take it from the original release")
        image_of = {stem: stem.rsplit("_", 1)[0] for stem in masks}
        lacking = [f"image/{name}" for name in image_of.values() if name not in images]
        require_partners(root, list(dict.fromkeys(lacking)))
        files = [{"image": images[image_of[stem]], "alpha": path} for stem, path in masks.items()]
        super().__init__(list(masks), files)

    def expressions(self, index: int) -> list[str]:
        """What people call the entity of a sample, as in the label file; matting needs none of it.

        Raises:
            BadFileError: If the label file is missing or does not have the sample.
        """
        path, name = self.root / LABELS, self.names[index]
        try:
            entry = json.loads(path.read_bytes())[name]["expressions"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            found = f"{type(error).__name__}: {error}"
            expected = f"expressions of {name}"
            raise bad_file(path, found, expected, "take it from the original release") from error
        return [str(expression) for expression in entry]


class RefMatteRW100(MattingDataModule):
    """RefMatte-RW100: 221 entities in 100 photographs with hand-made mattes, a test set.

    Content: natural photographs of people, animals and things, one to several to a picture; each
    sample asks for one of them, so a model needs to be told which (box, clicks, trimap).

    Format: ``image/NAME.jpg`` and ``mask/NAME_J.png``, a mask for each entity, which is a sample.
    ``image_all/`` (the photographs again, one for each entity) is not read, the label file only by
    :meth:`RefMatteRW100Source.expressions`. Masks are matched to images by all but the last number
    of their name, as in XiaRho/SEMat; further keys of the label file are not known for certain.

    Licence: CC BY-NC, after an agreement; research only.

    Citation: Li, Zhang, Tao: Referring Image Matting, CVPR 2023.
    """

    about = (
        "RefMatte-RW100 comes from github.com/JizhiziLi/RIM: RefMatte_RW_100/ with image/ "
        "(NAME.jpg) and mask/ (NAME_J.png)."
    )

    def make_source(self, split: Split) -> Source:
        """All entities."""
        require_test(split, type(self).__name__)
        return RefMatteRW100Source(self.root)
