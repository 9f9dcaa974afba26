"""Result files and tables: what was measured, on what, by which protocol."""

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from mattingzoo import __version__
from mattingzoo.io import write_text_atomic
from mattingzoo.statistics import FEW_GROUPS, LEAST_GROUPS, bootstrap_intervals

if TYPE_CHECKING:  # `mattingzoo compare` reads these files and has no need of torch
    from mattingzoo.evaluation import ImageResult

#: The scores of the tables; files also hold MAD, which is SAD per pixel.
SCORES = ("SAD", "MSE", "Grad", "Conn")
ALL_SCORES = ("SAD", "MSE", "MAD", "Grad", "Conn")

#: Of transition, foreground and background; see :func:`mattingzoo.metrics.part_scores`.
PART_SCORES = ("SAD-T", "SAD-FG", "SAD-BG", "MSE-T", "MAD-T")

#: What files say of their scores, so that nobody has to ask: the code, and the scale.
METRICS = "exact to DIM's MATLAB code (GCA-Matting copy), mattes rounded to 8 bits"
UNITS = {
    "SAD": "sum / 1000",
    "MSE": "mean",
    "MAD": "mean",
    "Grad": "sum / 1000",
    "Conn": "sum / 1000",
}
UNITS_TEXT = "SAD Grad Conn: sum / 1000; MSE MAD: mean"  # in a column of per_image.csv

#: The key of a score's 95 % interval in ``results.json``.
CI95 = {score: f"{score}_ci95" for score in ALL_SCORES}

#: What there is of whole images alone; None in entries of another region.
WHOLE_ONLY = ("instances", "parts", "mse_fg")

KEYS = (
    *("model", "variant", "recipe", "weights", "weights_sha256", "prompt"),
    *("data", "data_hash", "protocol", "region", "n_images", "n_foregrounds"),
    *(key for score in ALL_SCORES for key in (score, CI95[score])),
    *(*WHOLE_ONLY, "units", "metrics"),
    *("seconds_per_image", "peak_memory_mb", "device", "precision", "seed", "version"),
)

#: What makes two rows of ``results.json``, or of ``per_image.csv``, the same measurement.
IDENTITY = (
    *("model", "weights_sha256", "prompt", "data", "data_hash", "region", "device", "precision"),
)
IMAGE_IDENTITY = (
    *("model", "weights_sha256", "prompt", "data", "region", "name", "device", "precision"),
)

Entry = dict[str, Any]


def summarise(
    results: "Sequence[ImageResult]",
    regions: Sequence[str],
    about: Entry,
    protocol: str,
    skipped: int = 0,
) -> list[Entry]:
    """One entry per region: means over pictures, with all that makes them comparable.

    Args:
        results: The scored pictures of one model on one data set.
        regions: ``unknown`` and/or ``whole``.
        about: The entries of :data:`KEYS` that do not follow from ``results``.
        protocol: How trimaps and predictions were treated.
        skipped: Pictures that should have been scored and could not be read.

    Returns:
        Objects with :data:`KEYS`, and ``flags``: how many predictions were degenerate and how.
        SAD, Grad and Conn are in thousands, MSE and MAD are plain. A mean over an empty region is
        None. ``SAD_ci95`` and so on are the ends of 95 % bootstrap intervals over foregrounds
        (:func:`mattingzoo.statistics.bootstrap_interval`), None where there are too few.
        ``instances`` is the instance matting quality where images hold several objects, ``parts``
        the means over transition, foreground and background, if they were scored, ``mse_fg`` the
        mean error of the foreground's colours, plain, where model and data have them.
    """
    from mattingzoo.evaluation import data_hash

    entries = []
    for region in regions:
        entry = {
            **about,
            "data_hash": data_hash(results),
            "protocol": protocol,
            "region": region,
            "n_images": len(results),
            "n_foregrounds": len({r.foreground for r in results}),
            **_means(results, region),
            **(_of_the_whole(results) if region == "whole" else dict.fromkeys(WHOLE_ONLY)),
            "units": UNITS,
            "metrics": METRICS,
            "seconds_per_image": _mean([r.seconds for r in results]),
            "peak_memory_mb": _peak(results),
            "version": __version__,
        }
        entries.append({key: entry[key] for key in KEYS} | {"flags": _flags(results, skipped)})
    return entries


def _of_the_whole(results: "Sequence[ImageResult]") -> Entry:
    """:data:`WHOLE_ONLY`, each None where nothing of the kind was scored."""
    from mattingzoo.gathering import summarise_instances

    return {
        "instances": summarise_instances([r.instances for r in results if r.instances is not None]),
        "parts": _parts(results),
        "mse_fg": _mean([r.mse_fg for r in results if r.mse_fg is not None]),
    }


def _parts(results: "Sequence[ImageResult]") -> Entry | None:
    """Means of the scores that the papers print of parts; an image without a part is left out."""
    scored = [r.parts for r in results if r.parts is not None]
    return {name: _mean([p[name] for p in scored]) for name in PART_SCORES} if scored else None


def _means(results: "Sequence[ImageResult]", region: str) -> Entry:
    """Every score's mean over the pictures, and its interval."""
    columns = {s: [r.scores[f"{s}/{region}"] for r in results] for s in ALL_SCORES}
    intervals = bootstrap_intervals(columns, [r.foreground for r in results], lowest=0)
    means: Entry = {}
    for score, values in columns.items():
        means[score] = _mean(values)
        ends = intervals[score]
        # Six digits: all that 10,000 draws can tell, and the same on every machine.
        means[CI95[score]] = None if ends is None else [float(f"{end:.6g}") for end in ends]
    return means


def write_results(
    folder: Path,
    entries: list[Entry],
    images: list[Entry],
    file: str = "results.json",
    identity: Sequence[str] = IDENTITY,
    image_identity: Sequence[str] = IMAGE_IDENTITY,
) -> None:
    """Write the entries and ``per_image.csv``, each whole or not at all.

    What other runs left there stays, unless it is of the same model, weights, data and region.

    Args:
        folder: Where they go; made if it is not there.
        entries: As :func:`summarise` returns them.
        images: As :func:`image_rows` returns them.
        file: Name of the file of entries.
        identity: Keys in which an old entry equals a new one that takes its place.
        image_identity: The same for the rows of ``per_image.csv``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = _merged(_read_entries(folder / file), entries, identity)
    images = _merged(_read_rows(folder / "per_image.csv"), images, image_identity)
    write_text_atomic(folder / file, json.dumps(entries, indent=2) + "\n")
    if images:
        write_text_atomic(folder / "per_image.csv", _csv(images))


def _csv(rows: list[Entry]) -> str:
    """Rows as CSV; those of an older version lack columns, which stay empty."""
    # The newest rows are the last: their order of columns is the one to keep.
    columns = list(dict.fromkeys([*rows[-1], *(key for row in rows for key in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _merged(old: list[Entry], new: list[Entry], identity: Sequence[str]) -> list[Entry]:
    """Old rows that the new ones do not replace, then the new ones."""

    def of(row: Entry) -> tuple[str, ...]:
        return tuple(str(row.get(key) or "") for key in identity)  # CSV knows no None

    replaced = {of(row) for row in new}
    return [row for row in old if of(row) not in replaced] + new


def check_folder(folder: Path, file: str = "results.json") -> None:
    """Make sure that results can be written, before hours of work.

    Raises:
        OSError: If the folder cannot be made or written to.
        ValueError: If it holds a file of entries that is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to; give another folder")
    _read_entries(folder / file)


def _read_entries(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    try:
        entries: list[Entry] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; move it away") from error
    return entries


def _read_rows(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.pop(None, None)  # cells beyond the last column
    return rows


def image_rows(
    results: "Sequence[ImageResult]", regions: Sequence[str], about: Entry
) -> list[Entry]:
    """Rows of ``per_image.csv``; ``about`` as in :func:`summarise`.

    Each row says which region, units and metric code its scores are of. An MSE or MAD over an empty
    region is ``nan``; a picture that was not scored has empty scores.
    """
    return [
        {
            **{key: about[key] for key in ("model", "data")},
            "region": region,
            "name": result.name,
            "foreground": result.foreground,
            **{score: result.scores.get(f"{score}/{region}", "") for score in ALL_SCORES},
            **_whole_columns(result, region),
            "seconds": _measured(result.seconds),
            "peak_memory_mb": _measured(result.peak_memory_mb),
            "flags": " ".join(result.flags),
            **{key: about[key] for key in ("weights_sha256", "prompt", "device", "precision")},
            "content": result.content,
            "units": UNITS_TEXT,
            "metrics": METRICS,
        }
        for result in results
        for region in regions
    ]


def _whole_columns(result: "ImageResult", region: str) -> Entry:
    """The scores there are of the whole image alone; empty in rows of another region."""
    found = {name: (result.parts or {}).get(name) for name in PART_SCORES}
    found["mse_fg"] = result.mse_fg
    scored = {name: value for name, value in found.items() if value is not None}
    return scored if region == "whole" else dict.fromkeys(scored, "")


def tables(entries: Sequence[Entry]) -> list[Table]:
    """The entries as people read them, one table per data set and region: others do not compare."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry["data"], entry["region"]), []).append(entry)
    return [_table(data, region, group) for (data, region), group in groups.items()]


def _table(data: str, region: str, entries: Sequence[Entry]) -> Table:
    """One table: MSE ×10³, the best of each column in bold, intervals below the means."""
    foregrounds = max(e["n_foregrounds"] for e in entries)
    view = Table(
        title=f"{data}, {WHERE[region]}, {foregrounds} foregrounds (lower is better)",
        caption="\n".join(_caption(entries)),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        min_width=74,  # captions are sentences
    )
    view.add_column("model", no_wrap=True)
    costs = [key for key in COSTS if any(e.get(key) is not None for e in entries)]
    for name in ("SAD", "MSE ×10³", "Grad", "Conn", "images", *(COSTS[key][0] for key in costs)):
        view.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        scores = [_cell(entry, score, entries) for score in SCORES]
        cost = [COSTS[key][1].format(entry[key]) for key in costs]
        view.add_row(_title(entry), *scores, str(entry["n_images"]), *cost)
    return view


#: How tables call the regions, and what a picture costs.
WHERE = {"unknown": "unknown region", "whole": "whole image"}
COSTS = {"seconds_per_image": ("s/image", "{:.3f}"), "peak_memory_mb": ("MB", "{:.0f}")}


def _caption(entries: Sequence[Entry]) -> list[str]:
    """Scale, code, what the intervals are, and whatever was noticed."""
    lines = [f"SAD, Grad, Conn in thousands, MSE ×10³. {METRICS[0].upper()}{METRICS[1:]}."]
    if any(entry.get(CI95["SAD"]) for entry in entries):
        lines.append("Below each mean: its 95 % interval, bootstrap over foregrounds.")
    foregrounds = min(entry["n_foregrounds"] for entry in entries)
    if foregrounds < LEAST_GROUPS:
        lines.append(f"Only {foregrounds} foregrounds: too few for intervals.")
    elif foregrounds < FEW_GROUPS:
        lines.append(f"Only {foregrounds} foregrounds: intervals are rough.")
    lines += [f"{_title(e)}: {_quality(e['instances'])}" for e in entries if e.get("instances")]
    lines += [f"{_title(e)}: {_by_part(e['parts'])}" for e in entries if e.get("parts")]
    lines += [
        f"{_title(e)}: MSE ×10³ of the foreground's colours {1000 * e['mse_fg']:.2f}"
        for e in entries
        if e.get("mse_fg") is not None
    ]
    return [*lines, *(f"{_title(e)}: {e['flags']}" for e in entries if e["flags"])]


def _quality(instances: Entry) -> str:
    """Instance matting quality times 100, as papers print it."""
    shown = [f"{key.removeprefix('IMQ/')} {100 * instances[key]:.1f}" for key in instances]
    *scores, _ = shown  # the last is the number of images
    return f"IMQ ×100 of {instances['n_images']} images: {', '.join(scores)} (higher is better)"


def _by_part(parts: Entry) -> str:
    """SAD of transition, foreground and background, as papers print it, and MSE of the first."""
    factors = {"SAD-T": 1, "SAD-FG": 1, "SAD-BG": 1, "MSE-T": 1000}
    shown = [
        f"{name} {'-' if parts[name] is None else f'{factor * parts[name]:.2f}'}"
        for name, factor in factors.items()
    ]
    return ", ".join(shown)


def _title(entry: Entry) -> str:
    title = entry["model"] if entry["variant"] == "-" else f"{entry['model']} {entry['variant']}"
    # Tight boxes are what a table is understood to be of.
    prompt = entry.get("prompt") or "box"
    return title if prompt == "box" else f"{title} ({prompt})"


def _cell(entry: Entry, score: str, rivals: Sequence[Entry]) -> str:
    value = entry[score]
    if value is None:
        return "-"
    text = f"{value * 1000:.2f}" if score == "MSE" else f"{value:.3f}"
    best = min(e[score] for e in rivals if e[score] is not None)
    shown = f"[bold]{text}[/bold]" if len(rivals) > 1 and value == best else text
    ends = entry.get(CI95[score])
    if not ends:
        return shown
    low, high = decimals(ends, 1000 if score == "MSE" else 1)
    return f"{shown}\n[dim]{low}–{high}[/dim]"


def decimals(values: Sequence[float], factor: float = 1) -> list[str]:
    """Numbers to one number of decimals, about three digits of the largest."""
    scaled = [value * factor for value in values]
    largest = max(map(abs, scaled))
    digits = 2 if largest < 10 else 1 if largest < 100 else 0
    return [f"{value:.{digits}f}" for value in scaled]


def _mean(values: Sequence[float]) -> float | None:
    """Mean of what is defined; an image without unknown pixels has no MSE there."""
    defined = [v for v in values if not math.isnan(v)]
    # fsum: the same to the last digit whatever order the pictures come in.
    return math.fsum(defined) / len(defined) if defined else None


def _peak(results: "Sequence[ImageResult]") -> float | None:
    measured = [r.peak_memory_mb for r in results if not math.isnan(r.peak_memory_mb)]
    return max(measured, default=None)


def _measured(value: float) -> float | str:
    """A cost as a cell; empty if it was not measured."""
    return "" if math.isnan(value) else value


def _flags(results: "Sequence[ImageResult]", skipped: int) -> str:
    counts = {"skipped": skipped} if skipped else {}
    for result in results:
        for flag in result.flags:
            counts[flag] = counts.get(flag, 0) + 1
    words = {"constant": "prediction constant", "nan": "prediction not a number"}
    return ", ".join(f"{words.get(flag, flag)} on {count} images" for flag, count in counts.items())
