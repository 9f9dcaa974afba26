"""Which files of several folders belong together, by their names."""

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from mattingzoo.io import list_images, some

#: Of names, so many are shown.
SHOWN = 5


class Files(NamedTuple):
    """One picture to score."""

    name: str
    pred: Path
    alpha: Path
    trimap: Path | None
    fill_known: bool = False  # whether the trimap overwrites what it knows


class Matched(NamedTuple):
    """Files that belong together, and what has no partner."""

    files: list[Files]  # sorted by name
    no_prediction: list[str]
    no_trimap: list[str]
    extra: list[str]  # predictions without a truth


def match(
    pred: Path,
    alpha: Path,
    trimap: Path | None = None,
    suffix: str = "",
    foregrounds: str | None = None,
) -> Matched:
    """Find the files of each picture by stem, in whatever format they are.

    Args:
        pred: Folder of predictions.
        alpha: Folder of true mattes. One may be named as a foreground, and serves all its pictures.
        trimap: Folder of trimaps.
        suffix: What predictions have at the end of their stems, and truths have not.
        foregrounds: Pattern as of :func:`foreground_of`.

    Raises:
        FileNotFoundError: If a folder is not there or holds no pictures.
        ValueError: If two files of a folder have one stem, or no prediction has a truth.
    """
    truths, trimaps = by_stem(alpha), by_stem(trimap) if trimap else {}
    everything = by_stem(pred)
    preds = {s.removesuffix(suffix): p for s, p in everything.items() if s.endswith(suffix)}
    owner = {}  # the truth of each picture
    for name in {*preds, *trimaps}:
        own = name if name in truths else _foreground_or_none(name, foregrounds)
        if own in truths:
            owner[name] = own
    expected = sorted({*owner, *(set(truths) - set(owner.values()))})
    no_prediction = [name for name in expected if name not in preds]
    extra = sorted(path.name for name, path in preds.items() if name not in owner)
    if len(no_prediction) == len(expected):
        hint = _naming_hint(everything, truths)
        raise ValueError(
            f"no prediction in {pred} has the name of a true matte in {alpha}: there are "
            f"{some(sorted(everything), SHOWN)} and {some(sorted(truths), SHOWN)}; {hint}"
        )
    no_trimap = [name for name in expected if trimap and name in preds and name not in trimaps]
    files = [
        Files(name, preds[name], truths[owner[name]], trimaps.get(name))
        for name in expected
        if name in preds and name not in no_trimap
    ]
    return Matched(files, no_prediction, no_trimap, extra)


def by_stem(folder: Path) -> dict[str, Path]:
    """Pictures of a folder by stem.

    Raises:
        FileNotFoundError: If the folder is not there or holds no pictures.
        ValueError: If two files have one stem.
    """
    found: dict[str, Path] = {}
    for path in list_images(folder):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise ValueError(
                f"{folder} holds {other.name} and {path.name}, two files of one stem; remove the "
                "one that is not meant"
            )
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no pictures; expected PNG, JPEG, WebP or TIFF files right in it"
        )
    return found


def foreground_of(name: str, pattern: str) -> str:
    """The foreground that a picture shows, by its name.

    Args:
        name: Stem of the picture's files.
        pattern: Regular expression with one group, the foreground, such as ``(.*)_[0-9]+``; it has
            to match the whole name.

    Raises:
        ValueError: If the pattern is not one, has not one group, or does not match.
    """
    found = _foreground_or_none(name, pattern)
    if found is None:
        raise ValueError(
            f"--foregrounds {pattern!r} does not match {name!r}; it has to match every picture's "
            "whole name, with the foreground in its group, as '(.*)_[0-9]+' does for cat_7"
        )
    return found


def _foreground_or_none(name: str, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--foregrounds {pattern!r} is no regular expression: {error}") from error
    if compiled.groups != 1:
        raise ValueError(
            f"--foregrounds {pattern!r} has {compiled.groups} groups; put what names the "
            "foreground, and nothing else, into brackets: '(.*)_[0-9]+'"
        )
    found = compiled.fullmatch(name)
    return found and found[1]


def _naming_hint(preds: Collection[str], truths: Collection[str]) -> str:
    """What to do about names that do not match: the likeliest ending, or rename."""
    endings = Counter(p[len(t) :] for t in truths for p in preds if p.startswith(t) and p != t)
    ending, count = endings.most_common(1)[0] if endings else ("", 0)
    if re.fullmatch(r"[_-]?[0-9]+", ending):
        return "if one truth serves many pictures, give --foregrounds '(.*)_[0-9]+'"
    if count >= len(truths) / 2:
        return f"if {ending!r} is what the tool adds to its names, give --suffix={ending}"
    return "rename one of them: cat.png and cat.jpg belong together"
