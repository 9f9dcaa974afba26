"""SIMD, the test set of Semantic Image Matting."""

import re
from pathlib import Path

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import (
    FilesSource,
    by_stem,
    contents,
    require_partners,
    require_test,
)
from mattingzoo.source import Source, Split

#: Folders of a category: contract key to name. The last one is optional.
FOLDERS = {"image": "merged", "alpha": "alpha", "trimap": "trimap"}

_BACKGROUND = re.compile(r"_\d{4}_\d{6}$")  # the name of a photograph of PASCAL VOC


class SIMSource(FilesSource):
    """Composites by category: ``CATEGORY/{merged,alpha,trimap}/FOREGROUND_BACKGROUND.png``.

    Trimaps are a native key where every category has them.

    Args:
        root: Folder that holds the categories.

    Attributes:
        categories: The category of each sample, by its folder.

    Raises:
        FileNotFoundError: If there is no category, or a file lacks its partner.
    """

    def __init__(self, root: Path) -> None:
        found = sorted(folder.parent for folder in root.glob("*/alpha") if folder.is_dir())
        if not found:
            raise FileNotFoundError(
                f"{root} has no CATEGORY/alpha/; expected a folder for each category, such as "
                f"fur/, with alpha/ and merged/; found {contents(root)}; make the composites with "
                "dataset/generate_testset.py of nowsyn/SIM, and pass their folder as root"
            )
        complete = all((category / "trimap").is_dir() for category in found)
        keys = [key for key in FOLDERS if key != "trimap" or complete]
        lacking = [f"{c.name}/merged/" for c in found if not (c / "merged").is_dir()]
        require_partners(root, lacking)
        self.categories: list[str] = []
        stems: list[str] = []
        files: list[dict[str, Path]] = []
        for category in found:
            pictures = {key: by_stem(category / FOLDERS[key]) for key in keys}
            every = sorted(set().union(*pictures.values()))
            lacking += [
                f"{category.name}/{FOLDERS[key]}/{stem}"
                for stem in every
                for key in keys
                if stem not in pictures[key]
            ]
            require_partners(root, lacking)
            self.categories += [category.name] * len(every)
            stems += every
            files += [{key: pictures[key][stem] for key in keys} for stem in every]
        named = list(zip(self.categories, stems, strict=True))
        super().__init__(
            [f"{category}_{stem}" for category, stem in named],
            files,
            [f"{category}_{_BACKGROUND.sub('', stem)}" for category, stem in named],
        )


class SIM(MattingDataModule):
    """SIMD, the test set of Semantic Image Matting: composites of 20 categories.

    Content: foregrounds such as fur, net, fire, smoke_cloud or water_drop, each on 10 photographs
    of PASCAL VOC. The authors' list names 89 foregrounds and 890 composites; other code speaks of
    1,000 (not known for certain, probably a slip: no list of 1,000 was found).

    Format: what the authors' ``dataset/generate_testset.py`` (nowsyn/SIM) writes,
    ``CATEGORY/{merged,alpha,trimap}/FOREGROUND_BACKGROUND.png``; the category of a sample is its
    folder. Without the folders ``trimap`` trimaps are made from alpha. Part of the foregrounds are
    Adobe's and must be asked for.

    Licence: not stated; the Adobe part for research only.

    Citation: Sun, Tang, Tai: Semantic Image Matting, CVPR 2021.
    """

    about = (
        "SIMD comes from github.com/nowsyn/SIM; its script generate_testset.py makes the test "
        "composites: CATEGORY/ with merged/, alpha/ and trimap/, FOREGROUND_BACKGROUND.png in each."
    )

    def make_source(self, split: Split) -> Source:
        """All composites."""
        require_test(split, type(self).__name__)
        return SIMSource(self.root)
