"""`mattingzoo score`: any tool's mattes against the ground truth."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mattingzoo.evaluation import ImageResult
    from mattingzoo.matching import Matched
    from mattingzoo.scoring import Scored

EPILOG = """\
Files belong together by stem, in any format: PNG, JPEG, WebP or TIFF. Mattes are read to 8 bits,
16 bits are rounded; of cut-outs the alpha channel is scored. SAD, Grad and Conn are in thousands,
MSE is plain in files and ×10³ in the table, as benchmarks/run.py has them; region "unknown" is
where the trimap is exactly 128, "whole" is every pixel.

examples:
  mattingzoo score --pred out/vitmatte --alpha test/alpha --trimap test/trimap
  mattingzoo score --pred out --suffix=_alpha --alpha test/alpha
  mattingzoo score --pred out/dim --alpha "Test_set/Adobe-licensed images/alpha" \\
      --trimap "Test_set/Adobe-licensed images/trimaps" --foregrounds "(.*)_[0-9]+"

Exit code: 0 if every picture was scored, 1 if some could not be (the others are in the files),
2 if nothing was.
"""
FILE = "scores.json"
#: A second run of the same name takes the place of the first in the files, with all its rows.
IDENTITY = ("model", "weights_sha256", "data", "device", "precision")


def register(commands: Any) -> None:
    """Add the command."""
    p = commands.add_parser(
        "score",
        help="score any tool's mattes against the ground truth",
        description="Score a folder of predicted mattes against a folder of true ones: SAD, MSE,\n"
        "Grad and Conn, exact to the field's MATLAB code, with 95 % intervals.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--pred", required=True, type=Path, help="folder of predicted mattes")
    p.add_argument("--alpha", required=True, type=Path, help="folder of true mattes")
    p.add_argument("--trimap", type=Path, help="folder of trimaps, for the unknown region")
    p.add_argument(
        "--region", choices=["unknown", "whole", "both"],
        help="where to score; default: both with --trimap, whole without",
    )  # fmt: skip
    p.add_argument(
        "--parts", action="store_true",
        help="SAD of transition, foreground and background too, as AM-2k, P3M and AIM print them; "
        "needs --trimap",
    )  # fmt: skip
    p.add_argument(
        "--fill-known", action="store_true",
        help="first overwrite what the trimap knows, as published trimap-based figures do",
    )  # fmt: skip
    p.add_argument(
        "--suffix", default="", metavar="TEXT",
        help="end of the predictions' names, as _alpha in cat_alpha.png for cat.png",
    )  # fmt: skip
    p.add_argument(
        "--foregrounds", metavar="REGEX",
        help="pattern of a whole name whose one group is the foreground, '(.*)_[0-9]+' for "
        "Composition-1k: intervals draw foregrounds, and a true matte named as one serves all its "
        "pictures; default: pictures of the very same true matte are of one foreground",
    )  # fmt: skip
    p.add_argument(
        "--on-missing", choices=["raise", "skip"], default="raise",
        help="what to do if a prediction or trimap is missing (default: raise, for means over "
        "fewer pictures do not compare)",
    )  # fmt: skip
    p.add_argument("--workers", type=int, help="pictures at a time; default: one per core")
    p.add_argument("--name", help="what to call the method; default: the name of --pred")
    p.add_argument("--data", help="what to call the data set; default: the end of --alpha's path")
    p.add_argument(
        "--out", type=Path, default=Path("scores"),
        help="folder for scores.json and per_image.csv (default: scores); other methods scored "
        "into it stay there",
    )  # fmt: skip
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Score every picture, write the files and print the table."""
    regions = _regions(arguments)
    from rich.console import Console

    from mattingzoo.matching import match
    from mattingzoo.results import check_folder

    console = Console()
    matched = match(
        arguments.pred, arguments.alpha, arguments.trimap, arguments.suffix, arguments.foregrounds
    )
    _check(matched, arguments)
    check_folder(arguments.out, FILE)
    try:
        scored = _score(matched, arguments, console)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    problems = [one.problem for one in scored if one.result is None]
    if len(problems) == len(scored):
        raise ValueError(f"none of {len(scored)} pictures could be scored:\n{_listed(problems)}")
    _report(scored, matched, regions, arguments, console)
    if problems:
        print(
            f"error: {len(problems)} of {len(scored)} pictures could not be scored, the means are "
            f"of the others:\n{_listed(problems)}",
            file=sys.stderr,
        )
        sys.exit(1)


def _regions(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The regions to report."""
    if arguments.trimap is not None:
        both = arguments.region in (None, "both")
        return ("unknown", "whole") if both else (arguments.region,)
    if arguments.region in ("unknown", "both"):
        raise ValueError(
            f"--region {arguments.region} needs --trimap, the folder of trimaps: unknown is where "
            "they are 128; without them, only --region whole can be scored"
        )
    if arguments.fill_known:
        raise ValueError(
            "--fill-known needs --trimap, the folder of trimaps: they say what is known"
        )
    if arguments.parts:
        raise ValueError("--parts needs --trimap, the folder of trimaps: they tell the parts apart")
    if arguments.region is None:
        print("no --trimap, so only the whole image is scored, not the unknown region")
    return ("whole",)


def _check(matched: "Matched", arguments: argparse.Namespace) -> None:
    """Refuse a set with gaps, unless it is to be scored as it is."""
    from mattingzoo.io import some
    from mattingzoo.matching import SHOWN

    if arguments.workers is not None and arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {arguments.workers}")
    if arguments.on_missing == "skip":
        return
    lists = {
        f"predictions are missing in {arguments.pred}": matched.no_prediction,
        f"trimaps are missing in {arguments.trimap}": matched.no_trimap,
    }
    lacking = [f"{len(n)} {what}: {some(n, SHOWN)}" for what, n in lists.items() if n]
    if not lacking:
        return
    if matched.extra:
        lacking.append(
            f"{len(matched.extra)} predictions have no true matte: {some(matched.extra, SHOWN)}"
        )
    raise ValueError(
        f"{'; '.join(lacking)}. A mean over fewer pictures does not compare; --on-missing skip "
        "takes it all the same"
    )


def _score(matched: "Matched", arguments: argparse.Namespace, console: Any) -> "list[Scored]":
    """Score under a progress bar; sorted by name."""
    from contextlib import closing

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from mattingzoo.scoring import score_all

    files = [one._replace(fill_known=arguments.fill_known) for one in matched.files]
    workers = arguments.workers or _cores()
    bar = Progress(
        TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), Remaining(), console=console
    )
    with closing(score_all(files, workers, arguments.parts)) as each, bar:
        return sorted(bar.track(each, total=len(files)), key=lambda one: one.name)


def _cores() -> int:
    """Cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(
    scored: "list[Scored]",
    matched: "Matched",
    regions: Sequence[str],
    arguments: argparse.Namespace,
    console: Any,
) -> None:
    """Write the files, print the table, and under it whatever has to be known of it."""
    from mattingzoo import findings
    from mattingzoo.results import image_rows, summarise, tables, write_results
    from mattingzoo.scoring import group

    unknown = "unknown" in regions
    if unknown:
        findings.check_trimaps(scored)
    group(scored, arguments.foregrounds)
    notes = findings.notes(
        scored, matched, unknown, arguments.fill_known, arguments.foregrounds is not None
    )
    about, gaps = _about(arguments), findings.gaps(scored, matched)
    folders = (arguments.pred, arguments.alpha, arguments.trimap)
    results = [one.result for one in scored if one.result is not None]
    entries = summarise(results, regions, about, findings.protocol(scored, arguments.fill_known))
    for entry in entries:
        entry["flags"] = ", ".join(filter(None, [gaps, entry["flags"]]))
        entry["notes"] = notes
        entry["folders"] = [str(path) for path in folders if path is not None]
        entry["problems"] = [one.problem for one in scored if one.result is None]
    rows = image_rows([*results, *_unscored(scored, matched)], regions, about)
    write_results(arguments.out, entries, rows, FILE, IDENTITY, IDENTITY)
    for table in tables(entries):
        console.print(table)
    for note in notes:
        console.print(note, markup=False)
    console.print(f"scores in {arguments.out / FILE} and {arguments.out / 'per_image.csv'}")


def _unscored(scored: "list[Scored]", matched: "Matched") -> "list[ImageResult]":
    """Pictures without scores, so that files show the gaps they have."""
    from mattingzoo.evaluation import ImageResult

    nan = float("nan")
    flags = {one.name: "failed" for one in scored if one.result is None}
    flags |= dict.fromkeys([*matched.no_prediction, *matched.no_trimap], "missing")
    return [ImageResult(name, "", {}, nan, nan, "", [flag]) for name, flag in flags.items()]


def _about(arguments: argparse.Namespace) -> dict[str, Any]:
    """What ``results.json`` says of a row's origin; "-" and None where it does not apply."""
    alpha = arguments.alpha.resolve()
    return {
        "model": arguments.name or arguments.pred.resolve().name,
        **dict.fromkeys(("variant", "recipe", "weights", "device", "precision"), "-"),
        "data": arguments.data or f"{alpha.parent.name}/{alpha.name}",
        **dict.fromkeys(("weights_sha256", "prompt", "seed")),
    }


def _listed(problems: list[str]) -> str:
    from mattingzoo.matching import SHOWN

    more = len(problems) - SHOWN
    rest = [f"... and {more} more, all in scores.json"] if more > 0 else []
    return "\n".join([*problems[:SHOWN], *rest])
