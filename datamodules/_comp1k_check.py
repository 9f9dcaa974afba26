"""Everything that is wrong with a copy of Composition-1k, found at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import track

from mattingzoo.datamodules._comp1k_layout import (
    Half,
    evaluation_half,
    files_in,
    training_half,
)
from mattingzoo.io import BadFileError, image_size, odd_trimap_values, parse_trimap, read_gray


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        problems: One sentence each, beginning with the file; empty if all is well.
        counts: What was looked at, by name, in the order it was looked at.
    """

    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """What was looked at, then one problem to a line."""
        looked_at = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        summary = f"{len(self.problems)} problems" if self.problems else "nothing is wrong"
        return "\n".join([f"looked at {looked_at or 'nothing'}", *self.problems, summary])


def check(
    root: Path, coco: Path | None = None, voc: Path | None = None, progress: bool = True
) -> CheckReport:
    """Compare a copy of Composition-1k with its lists.

    Looks for missing and unlisted files, lists of the wrong length, layers that differ in size
    (by their headers), and trimaps with gray values they should not hold (by decoding them).

    Args:
        root: Folder that holds ``Training_set`` and ``Test_set``.
        coco: Folder of COCO train2014; None takes ``root/train2014``.
        voc: Folder of VOC's JPEGImages; None takes ``root/VOCdevkit/VOC2012/JPEGImages``.
        progress: Show progress bars.
    """
    report = CheckReport()
    for kind in ("training", "test"):
        try:
            half = training_half(root, coco) if kind == "training" else evaluation_half(root, voc)
        except (FileNotFoundError, BadFileError) as error:
            report.problems.append(str(error))
            continue
        report.counts[f"{kind} foregrounds"] = len(half.foregrounds)
        report.counts[f"{kind} composites"] = len(half)
        _check_layers(half, report, progress)
        if kind == "test":
            _check_composites(half, report, progress)
    report.problems = list(dict.fromkeys(report.problems))  # one matte serves 20 composites
    return report


def _check_layers(half: Half, report: CheckReport, progress: bool) -> None:
    """Lists, foregrounds, mattes and backgrounds."""
    miscount = half.miscount()
    report.problems += [miscount] if miscount else []
    report.problems += [f"{path}: missing" for path in half.missing()]
    listed = set(half.foregrounds)
    for part in half.parts:
        for kind in ("fg", "alpha"):
            folder = half.folder / part / kind
            report.problems += _unlisted(half, folder, listed, half.foreground_list.name)
    first = range(0, len(half), half.repeats)
    pairs = [(half.foreground(i), half.alpha(i)) for i in first]
    report.problems += _all(half, _differ, pairs, half.folder, progress)


def _check_composites(half: Half, report: CheckReport, progress: bool) -> None:
    """What the test half has for each composite: trimap, merged image, fitted background."""
    samples = range(len(half))
    names = {f"{half.name(i)}.png" for i in samples}
    merged = half.merged(0).parent
    if not merged.is_dir():
        report.problems.append(how_to_compose(half))
    for file_of, find in (
        (half.trimap, _trimap_problem),
        (half.merged, _differ),
        (half.fitted, _differ),
    ):
        folder = file_of(0).parent
        if not folder.is_dir() and file_of != half.trimap:
            continue  # merged was reported; a background is needed only by some models
        missing = half.absent([file_of(i) for i in samples])
        report.problems += [f"{path}: missing" for path in missing]
        report.problems += _unlisted(half, folder, names, "the lists' composites")
        report.counts[f"test {folder.name}"] = sum(file_of(i).exists() for i in samples)
        pairs = [(half.alpha(i), file_of(i)) for i in samples]
        report.problems += _all(half, find, pairs, folder, progress)


def how_to_compose(half: Half) -> str:
    """What to say where the test composites have not been made."""
    return (
        f"{half.relative(half.merged(0).parent)}: missing, the release has you make it; "
        f"run: mattingzoo data compose comp1k --root {half.root}"
    )


def _unlisted(half: Half, folder: Path, listed: set[str], where: str) -> list[str]:
    extra = sorted(files_in(folder) - listed)
    return [f"{half.relative(folder / name)}: not in {where}" for name in extra]


def _differ(half: Half, first: Path, second: Path) -> str | None:
    """Two pictures that should be of one size, and are not; missing ones are told elsewhere."""
    if not (first.exists() and second.exists()):
        return None
    try:
        (height, width), (rows, columns) = (image_size(p, upright=False) for p in (first, second))
    except BadFileError as error:
        return str(error)
    if (height, width) == (rows, columns):
        return None
    shown = f"{width} x {height} as {half.relative(first)}"
    return f"{half.relative(second)}: {columns} x {rows} pixels; expected {shown}"


def _trimap_problem(half: Half, alpha: Path, trimap: Path) -> str | None:
    """A trimap of another size, not decodable, or with gray values it should not hold."""
    problem = _differ(half, alpha, trimap)
    if problem or not trimap.exists():
        return problem
    try:
        gray = read_gray(trimap, upright=False)
    except BadFileError as error:
        return str(error)
    _, odd_count = parse_trimap(gray)
    if odd_count == 0:
        return None
    values = ", ".join(map(str, odd_trimap_values(gray)[:8]))
    return (
        f"{half.relative(trimap)}: {odd_count} of {gray.size} pixels are not 0, 128 or 255 but "
        f"{values}; get it again"
    )


def _all(
    half: Half,
    find: Callable[[Half, Path, Path], str | None],
    pairs: list[tuple[Path, Path]],
    folder: Path,
    progress: bool,
) -> list[str]:
    """Compare many pairs in threads: decoders let go of the interpreter."""
    what = f"checking {half.relative(folder)}"
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda pair: find(half, *pair), pairs)
        found = track(results, what, total=len(pairs), disable=not progress)
        return [problem for problem in found if problem]
