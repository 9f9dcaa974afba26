"""Everything that is wrong with a copy of a composed data set, found at once."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import track

from mattingzoo.datamodules._half import Half, files_in, relative
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


def check_halves(halves: Mapping[str, Callable[[], Half]], progress: bool = True) -> CheckReport:
    """Compare the halves of a copy with their lists.

    Looks for missing and unlisted files, lists of the wrong length, layers that differ in size
    (by their headers), and trimaps with gray values they should not hold (by decoding them).

    Args:
        halves: What makes each half, by name, ``training`` or ``test``; the latter's composites
            are looked at, too.
        progress: Show progress bars.
    """
    report = CheckReport()
    for kind, make in halves.items():
        try:
            half = make()
        except (FileNotFoundError, ValueError) as error:
            report.problems.append(str(error))
            continue
        report.counts[f"{kind} foregrounds"] = len(half.foregrounds)
        report.counts[f"{kind} composites"] = len(half)
        _check_layers(half, report, progress)
        if kind == "test":
            _check_composites(half, report, progress)
    report.problems = list(dict.fromkeys(report.problems))  # one matte serves 20 composites
    return report


def how_to_compose(half: Half) -> str:
    """What to say where the test composites have not been made."""
    return (
        f"{relative(half.root, half.merged(0).parent)}: missing, the release has you make it; "
        f"run: mattingzoo data compose {half.dataset} --root {half.root}"
    )


def differing_sizes(
    root: Path, pairs: list[tuple[Path, Path]], folder: Path, progress: bool = True
) -> list[str]:
    """Pairs of pictures that should be of one size, and are not; missing ones are not told.

    Args:
        root: Paths are shown relative to it.
        pairs: Each picture behind the one it must fit.
        folder: What the progress bar names.
        progress: Show it.
    """
    return _all(root, _differ, pairs, folder, progress)


def _check_layers(half: Half, report: CheckReport, progress: bool) -> None:
    """Lists, foregrounds, mattes and backgrounds."""
    miscount = half.miscount()
    report.problems += [miscount] if miscount else []
    report.problems += [f"{path}: missing" for path in half.missing()]
    listed = set(half.foregrounds)
    for part in half.parts:
        for kind in half.kinds:
            folder = half.folder / part / kind
            report.problems += _unlisted(half, folder, listed, half.foreground_list.name)
    first = range(0, len(half), half.repeats)
    pairs = [(half.foreground(i), half.alpha(i)) for i in first]
    report.problems += differing_sizes(half.root, pairs, half.folder, progress)


def _check_composites(half: Half, report: CheckReport, progress: bool) -> None:
    """What the test half has for each composite: trimap, merged image, fitted background."""
    samples = range(len(half))
    names = {f"{half.name(i)}.png" for i in samples}
    merged = half.merged(0).parent
    if not merged.is_dir() and not half.on_the_fly:
        report.problems.append(how_to_compose(half))
    kinds = [(half.merged, _differ), (half.fitted, _differ)]
    for file_of, find in [(half.trimap, _trimap_problem), *kinds] if half.trimaps else kinds:
        folder = file_of(0).parent
        if not folder.is_dir() and find != _trimap_problem:
            continue  # merged was reported; a background is needed only by some models
        missing = half.absent([file_of(i) for i in samples])
        report.problems += [f"{path}: missing" for path in missing]
        report.problems += _unlisted(half, folder, names, "the lists' composites")
        report.counts[f"test {folder.name}"] = sum(file_of(i).exists() for i in samples)
        pairs = [(half.alpha(i), file_of(i)) for i in samples]
        report.problems += _all(half.root, find, pairs, folder, progress)


def _unlisted(half: Half, folder: Path, listed: set[str], where: str) -> list[str]:
    extra = sorted(files_in(folder) - listed)
    return [f"{relative(half.root, folder / name)}: not in {where}" for name in extra]


def _differ(root: Path, first: Path, second: Path) -> str | None:
    """Two pictures that should be of one size, and are not; missing ones are told elsewhere."""
    if not (first.exists() and second.exists()):
        return None
    try:
        (height, width), (rows, columns) = (image_size(p, upright=False) for p in (first, second))
    except BadFileError as error:
        return str(error)
    if (height, width) == (rows, columns):
        return None
    shown = f"{width} x {height} as {relative(root, first)}"
    return f"{relative(root, second)}: {columns} x {rows} pixels; expected {shown}"


def _trimap_problem(root: Path, alpha: Path, trimap: Path) -> str | None:
    """A trimap of another size, not decodable, or with gray values it should not hold."""
    problem = _differ(root, alpha, trimap)
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
        f"{relative(root, trimap)}: {odd_count} of {gray.size} pixels are not 0, 128 or 255 but "
        f"{values}; get it again"
    )


def _all(
    root: Path,
    find: Callable[[Path, Path, Path], str | None],
    pairs: list[tuple[Path, Path]],
    folder: Path,
    progress: bool,
) -> list[str]:
    """Compare many pairs in threads: decoders let go of the interpreter."""
    what = f"checking {relative(root, folder)}"
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda pair: find(root, *pair), pairs)
        found = track(results, what, total=len(pairs), disable=not progress)
        return [problem for problem in found if problem]
