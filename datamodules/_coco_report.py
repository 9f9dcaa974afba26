"""What a rebuilt COCO-Matting holds, what was left out at each step, and how it compares."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mattingzoo.datamodules._coco_layout import MatteName, require_name
from mattingzoo.io import bad_file, write_text_atomic

#: What is counted, in the order of the steps, and what it means.
STEPS = {
    "images": "images with annotations",
    "images_without_person": "left out: no person, or crowds only",
    "images_without_accessory": "left out: a person, but none of the 40 accessories",
    "persons": "persons in the other images",
    "persons_crowd": "left out: crowds",
    "persons_empty": "left out: persons without a pixel",
    "accessories": "accessories in these images",
    "accessories_crowd": "left out: accessories marked as crowd",
    "accessories_empty": "left out: accessories without a pixel",
    "accessories_apart": "left out: touch nobody",
    "accessories_shared": "left out: touch persons, belong to none of them",
    "accessories_fused": "fused into a person",
    "persons_alone": "left out: persons without accessory",
    "persons_sharing": "left out: persons who touch an accessory that belongs to nobody",
    "mattes": "persons with accessories",
    "small": "filtered: mask smaller than min_area",
    "no_foreground": "filtered: nothing left of the mask after erosion",
    "disagreeing": "filtered: matte and mask agree less than min_agreement",
    "failed": "failed: images of which a file is missing or damaged",
    "kept": "finished by an earlier run",
    "written": "written",
}


@dataclass
class BuildReport:
    """What was built and what was left out.

    Attributes:
        settings: All that decided about it, in plain types.
        counts: By the keys of :data:`STEPS`.
        failures: A sentence for each image that could not be done.
        comparison: How well names agree with a list; empty if there was none.
        finished: Whether the job came to its end.
    """

    settings: dict[str, Any]
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    comparison: dict[str, float] = field(default_factory=dict)
    finished: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """What the table shows: meaning and number."""
        counted = [(text, str(self.counts[key])) for key, text in STEPS.items()]
        compared = [(text, f"{value:g}") for text, value in self.comparison.items()]
        return counted + compared

    def write(self, path: Path) -> None:
        """Write it as JSON, with every count, also those that are 0."""
        content = {
            "finished": self.finished,
            "settings": self.settings,
            "counts": {key: self.counts[key] for key in STEPS},
            "comparison": self.comparison,
            "failures": self.failures,
        }
        write_text_atomic(path, json.dumps(content, indent=1) + "\n")


def read_list(path: Path) -> list[MatteName]:
    """Names of mattes from a list, one to a line: the last column, its folders left out.

    Raises:
        BadFileError: If the file is not such a list.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise bad_file(path, str(error), "a list of file names", "get it again") from error
    return [require_name(Path(line.split("\t")[-1].strip())) for line in lines if line.strip()]


def comparison(
    made: Sequence[MatteName], listed: Sequence[MatteName], ids: Sequence[int]
) -> dict[str, float]:
    """How well fusion agrees with a list: an image and its accessories must both be there.

    Args:
        made: What fusion gave.
        listed: What it should have given; images that were not looked at are left out.
        ids: Images that were looked at.
    """
    looked_at = set(ids)
    expected = _multiset(name for name in listed if name.image_id in looked_at)
    found = _multiset(made)
    both = (expected & found).total()
    return {
        "compared: mattes in the list": expected.total(),
        "compared: images in the list": len({image for image, _ in expected}),
        "compared: mattes found": found.total(),
        "compared: images found": len({image for image, _ in found}),
        "compared: precision": both / found.total() if found else 0.0,
        "compared: recall": both / expected.total() if expected else 0.0,
    }


def _multiset(names: Iterable[MatteName]) -> Counter[tuple[int, tuple[str, ...]]]:
    """Image and accessories; neither their order nor the number of the matte matters."""
    return Counter((name.image_id, tuple(sorted(name.accessories))) for name in names)
