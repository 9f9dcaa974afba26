"""`mattingzoo compare`: whether two runs differ."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mattingzoo.comparison import Comparison, Run
    from mattingzoo.statistics import Difference

EPILOG = """\
Pictures are paired by name and foregrounds are drawn with replacement, each with all its pictures
(10,000 times, studentised). p is how often runs that do not differ would seem to differ as much;
below 0.05 the run with the lower error is called better. Every metric is judged by itself. Fewer
than six foregrounds show nothing.

examples:
  mattingzoo compare old/per_image.csv new/per_image.csv
  mattingzoo compare results/per_image.csv --models dim,closed-form --region unknown
  mattingzoo compare results/per_image.csv scores/per_image.csv --models dim,vitmatte \\
      --data comp1k,my-comp1k
"""


def register(commands: Any) -> None:
    """Add the command."""
    p = commands.add_parser(
        "compare",
        help="say whether two runs differ, picture by picture",
        description="Compare two runs by their per_image.csv, of benchmarks/run.py or mattingzoo\n"
        "score: paired bootstrap over foregrounds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("a", metavar="A", type=Path, help="per_image.csv of the first run")
    p.add_argument("b", metavar="B", type=Path, nargs="?", help="of the second; default: A again")
    p.add_argument(
        "--models", metavar="A,B",
        help="which model of each file, or one name for both; NAME@TEXT tells runs of one model "
        "apart, by what their weights' SHA-256, device or precision begin with",
    )  # fmt: skip
    p.add_argument("--region", choices=["unknown", "whole"], help="default: all there are")
    p.add_argument("--data", help="data set; NAME,NAME if the files call one set differently")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON, too")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print a table for every data set and region that both runs have scored."""
    from rich.console import Console

    from mattingzoo.comparison import compare

    first, second = _runs(arguments)
    ours, theirs = _split(arguments.data, "--data")
    comparisons = compare(first, second, (ours, theirs) if ours and theirs else None)
    console = Console()
    for letter, one in (("A", first), ("B", second)):
        console.print(f"{letter}: {one.model} in {one.path}", markup=False, highlight=False)
    for comparison in comparisons:
        console.print(_table(comparison))
    if arguments.json is not None:
        _write(arguments.json, first, second, comparisons)
        console.print(f"written to {arguments.json}")


def _runs(arguments: argparse.Namespace) -> "tuple[Run, Run]":
    """The two runs to compare."""
    from mattingzoo.comparison import Row, choose, read_rows

    models = _split(arguments.models, "--models")
    paths = (arguments.a, arguments.b or arguments.a)
    kept: list[list[Row]] = []
    for path, data in zip(paths, _split(arguments.data, "--data"), strict=True):
        rows = read_rows(path)
        there = sorted({f"{row['data']} {row['region']}" for row in rows})
        rows = [row for row in rows if data in (None, row["data"])]
        rows = [row for row in rows if arguments.region in (None, row["region"])]
        if not rows:
            asked = " ".join(filter(None, [data, arguments.region]))
            raise ValueError(f"{path} holds nothing of {asked}; there is {', '.join(there)}")
        kept.append(rows)
    if arguments.b is None and arguments.models is None:
        names = list(dict.fromkeys(row["model"] for row in kept[0]))
        if len(names) != 2:
            raise ValueError(
                f"{arguments.a} holds {', '.join(names)}; give a second file, or two of several "
                "models with --models A,B"
            )
        models = (names[0], names[1])
    first, second = (choose(*each) for each in zip(paths, kept, models, strict=True))
    return first, second


def _split(text: str | None, option: str) -> tuple[str | None, str | None]:
    """``NAME`` for both files, or ``NAME,NAME``."""
    names = [None] if text is None else [name.strip() for name in text.split(",")]
    if len(names) > 2 or "" in names:
        raise ValueError(f"{option} takes NAME or NAME,NAME, got {text!r}")
    return names[0], names[-1]


def _table(comparison: "Comparison") -> Any:
    from rich import box
    from rich.table import Table

    from mattingzoo.results import SCORES, WHERE
    from mattingzoo.statistics import FEW_GROUPS, LEAST_GROUPS

    most = max(comparison.scores.values(), key=lambda difference: difference.n_images)
    where = WHERE.get(comparison.region, comparison.region)
    code = comparison.metrics or "metric code not told, the files are of an older version"
    lines = [
        "SAD, Grad, Conn in thousands, MSE ×10³; lower is better.",
        f"{code[0].upper()}{code[1:]}.",
        *comparison.notes,
    ]
    fewer = comparison.scores["MSE"].n_images
    if fewer < most.n_images:
        lines.append(f"MSE of {fewer} images: without unknown pixels there is none.")
    if any(comparison.left_out):
        only_a, only_b = comparison.left_out
        lines.append(f"Left out, without a scored partner: {only_a} images of A, {only_b} of B.")
    if most.n_groups < LEAST_GROUPS:
        lines.append(f"Only {most.n_groups} foregrounds: too few to show a difference.")
    elif most.n_groups < FEW_GROUPS:
        lines.append(f"Only {most.n_groups} foregrounds: intervals and p are rough.")
    view = Table(
        title=f"{comparison.data}, {where}: {most.n_images} images of {most.n_groups} foregrounds",
        caption="\n".join(lines),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        min_width=74,  # captions are sentences
    )
    view.add_column("", no_wrap=True)
    for name in ("A", "B", "A − B", "95 % interval", "p"):
        view.add_column(name, justify="right", no_wrap=True)
    view.add_column("")  # folds where there is no room
    for score in SCORES:
        view.add_row(*_row(score, comparison.scores[score]))
    return view


def _row(score: str, difference: "Difference") -> list[str]:
    from rich.markup import escape

    from mattingzoo.comparison import better
    from mattingzoo.results import decimals

    factor = 1000 if score == "MSE" else 1
    ends = difference.interval
    interval = "-" if ends is None else escape(f"[{', '.join(decimals(ends, factor))}]")
    p = difference.p
    shown = "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
    verdict = {"a": "[bold]A better[/bold]", "b": "[bold]B better[/bold]"}
    means = (difference.mean_a, difference.mean_b, difference.mean)
    return [
        "MSE ×10³" if score == "MSE" else score,
        *(f"{mean * factor:.{2 if score == 'MSE' else 3}f}" for mean in means),
        interval,
        shown,
        verdict.get(better(difference) or "", "no difference shown"),
    ]


def _write(path: Path, a: "Run", b: "Run", comparisons: "list[Comparison]") -> None:
    """The comparisons as JSON: a list, one object for each data set and region."""
    import json
    import math

    from mattingzoo.comparison import better
    from mattingzoo.io import write_text_atomic
    from mattingzoo.results import UNITS
    from mattingzoo.statistics import LEVEL, RESAMPLES

    def plain(value: float) -> float | None:
        return None if math.isnan(value) else value

    def described(d: "Difference") -> dict[str, Any]:
        means = {"a": plain(d.mean_a), "b": plain(d.mean_b), "difference": plain(d.mean)}
        counts = {"n_images": d.n_images, "n_foregrounds": d.n_groups}
        return {**means, "ci95": d.interval, "p": d.p, "better": better(d), **counts}

    found = [
        {
            "data": one.data,
            "region": one.region,
            "a": {"file": str(a.path), "model": a.model, "left_out": one.left_out[0]},
            "b": {"file": str(b.path), "model": b.model, "left_out": one.left_out[1]},
            "scores": {score: described(d) for score, d in one.scores.items()},
            "units": UNITS,
            "metrics": one.metrics or None,
            "method": f"paired bootstrap over foregrounds, studentised, {RESAMPLES} resamples, "
            f"better if p < {1 - LEVEL:.2f}",
            "notes": one.notes,
        }
        for one in comparisons
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, json.dumps(found, indent=2) + "\n")
