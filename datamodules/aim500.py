"""AIM-500, a test set of natural images of all kinds."""

import json
from pathlib import Path
from typing import NamedTuple

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import by_stem, require_test
from mattingzoo.datamodules._photographs import PhotographsSource
from mattingzoo.io import Picture, bad_file, check_sizes, read_gray, read_trimap, some
from mattingzoo.source import Source, Split

LABELS = "aim_category_type.json"
TYPES = ("SO", "STM", "NS")
LARGEST = 2**24  # bytes; the release's has about 2**15


class Label(NamedTuple):
    """What papers average over, besides all images."""

    type: str  # SO salient opaque, STM salient transparent or meticulous, NS non-salient
    category: str  # animal, fruit, furniture, plant, portrait, toy or transparent in the release


class AIM500Source(PhotographsSource):
    """``original/NAME.jpg`` with ``mask/NAME.png`` and, where it is there, ``trimap/NAME.png``.

    Args:
        root: Folder that holds them.

    Raises:
        FileNotFoundError: If a folder is missing or empty, or a file lacks a partner.
        ValueError: If two files of a folder have one stem.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, "original")
        self.root = root

    def labels(self) -> list[Label]:
        """Type and category of each sample, in their order; scoring needs none of it.

        Raises:
            BadFileError: If the file of labels is missing, not what it should be, or lacks a
                sample.
        """
        path, remedy = self.root / LABELS, "take it from the original release"
        try:
            size = path.stat().st_size
            if size > LARGEST:
                raise ValueError(f"{size} bytes")
            entries = json.loads(path.read_bytes())
        # Nested too deep, it is a RecursionError.
        except (OSError, ValueError, RecursionError) as error:
            found = f"{type(error).__name__}: {error}"
            raise bad_file(path, found, f"JSON of at most {LARGEST} bytes", remedy) from error
        labels = {name: _label(entries, name) for name in self.names}
        wrong = [name for name, label in labels.items() if label is None]
        if wrong:
            kinds = " or ".join(TYPES)
            expected = f'{{NAME: {{"type": {kinds}, "category": WORD}}}} for every image'
            raise bad_file(path, f"no such entry for {some(wrong)}", expected, remedy)
        return [label for label in labels.values() if label is not None]

    def semantic_map(self, index: int) -> Picture:
        """The unified semantic map ``usr/NAME.png`` of a sample, [H, W] of 0, 128 and 255.

        The trimap for type SO, without foreground for STM, all unknown for NS: what AimNet learns
        to predict first. Not part of a batch.

        Raises:
            FileNotFoundError: If there is no folder ``usr``.
            BadFileError: If the map is missing, damaged, or not of its matte's size.
        """
        path = by_stem(self.root / "usr").get(self.names[index])
        if path is None:
            missing = self.root / "usr" / f"{self.names[index]}.png"
            raise bad_file(missing, "no such file", "a map", "take it from the original release")
        files = {"alpha": self._files[index]["alpha"], "map": path}
        pictures = {
            "alpha": read_gray(files["alpha"], upright=False),
            "map": read_trimap(path, upright=False),
        }
        check_sizes(pictures, files)
        return pictures["map"]


class AIM500(MattingDataModule):
    """AIM-500: 500 natural images with hand-made mattes, a test set.

    Content: 200 animals, 100 portraits, 75 plants, 45 pieces of furniture, 36 toys, 34 transparent
    things and 10 fruits, of three types: salient and opaque, salient and transparent or meticulous,
    non-salient. The field scores the whole image, and each type and category apart
    (:meth:`AIM500Source.labels`).

    Format: ``original/o_XXXXXXXX.jpg``, ``mask/o_XXXXXXXX.png``, ``trimap/`` and ``usr/`` alike
    (:meth:`AIM500Source.semantic_map`), and ``aim_category_type.json``.

    Licence: after an agreement, which names the MIT licence.

    Citation: Li, Zhang, Tao: Deep Automatic Natural Image Matting, IJCAI 2021.
    """

    about = (
        "AIM-500 comes from github.com/JizhiziLi/AIM: AIM-500/ with original/, mask/, trimap/ and "
        "usr/ (o_XXXXXXXX.jpg, .png) and aim_category_type.json."
    )

    def make_source(self, split: Split) -> Source:
        """All images."""
        require_test(split, type(self).__name__)
        return AIM500Source(self.root)


def _label(entries: object, name: str) -> Label | None:
    """One entry of the file, or None if it is not as it should be."""
    entry = entries.get(name) if isinstance(entries, dict) else None
    if not isinstance(entry, dict):
        return None
    kind, category = entry.get("type"), entry.get("category")
    if kind not in TYPES or not isinstance(category, str) or not category:
        return None
    return Label(kind, category)
