"""Result files and tables: what was measured, on what, by which protocol."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from mattingzoo import __version__
from mattingzoo.evaluation import ImageResult, data_hash
from mattingzoo.io import write_text_atomic

SCORES = ("SAD", "MSE", "Grad", "Conn")
KEYS = (
    *("model", "variant", "recipe", "weights", "weights_sha256"),
    *("data", "data_hash", "protocol", "region", "n_images", "n_foregrounds", *SCORES),
    *("seconds_per_image", "peak_memory_mb", "device", "precision", "seed", "version"),
)


#: What makes two rows of ``results.json``, or of ``per_image.csv``, the same measurement.
IDENTITY = ("model", "weights_sha256", "data", "data_hash", "region", "device", "precision")
IMAGE_IDENTITY = ("model", "weights_sha256", "data", "region", "name", "device", "precision")

Entry = dict[str, Any]


def summarise(
    results: Sequence[ImageResult],
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
        SAD, Grad and Conn are in thousands, MSE is plain. A mean over an empty region is None.
    """
    entries = []
    for region in regions:
        means = {s: _mean([r.scores[f"{s}/{region}"] for r in results]) for s in SCORES}
        entry = {
            **about,
            "data_hash": data_hash(results),
            "protocol": protocol,
            "region": region,
            "n_images": len(results),
            "n_foregrounds": len({r.foreground for r in results}),
            **means,
            "seconds_per_image": _mean([r.seconds for r in results]),
            "peak_memory_mb": max(r.peak_memory_mb for r in results),
            "version": __version__,
        }
        entries.append({key: entry[key] for key in KEYS} | {"flags": _flags(results, skipped)})
    return entries


def write_results(folder: Path, entries: list[Entry], images: list[Entry]) -> None:
    """Write ``results.json`` and ``per_image.csv``, each whole or not at all.

    What other runs left there stays, unless it is of the same model, weights, data and region.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = _merged(_read_entries(folder / "results.json"), entries, IDENTITY)
    images = _merged(_read_rows(folder / "per_image.csv"), images, IMAGE_IDENTITY)
    write_text_atomic(folder / "results.json", json.dumps(entries, indent=2) + "\n")
    if images:
        text = io.StringIO()
        writer = csv.DictWriter(text, images[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(images)
        write_text_atomic(folder / "per_image.csv", text.getvalue())


def _merged(old: list[Entry], new: list[Entry], identity: tuple[str, ...]) -> list[Entry]:
    """Old rows that the new ones do not replace, then the new ones."""

    def of(row: Entry) -> tuple[str, ...]:
        return tuple(str(row.get(key) or "") for key in identity)  # CSV knows no None

    replaced = {of(row) for row in new}
    return [row for row in old if of(row) not in replaced] + new


def _read_entries(path: Path) -> list[Entry]:
    entries: list[Entry] = json.loads(path.read_text()) if path.exists() else []
    return entries


def _read_rows(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def image_rows(results: Sequence[ImageResult], regions: Sequence[str], about: Entry) -> list[Entry]:
    """Rows of ``per_image.csv``; ``about`` as in :func:`summarise`."""
    return [
        {
            **{key: about[key] for key in ("model", "data")},
            "region": region,
            "name": result.name,
            "foreground": result.foreground,
            **{score: result.scores[f"{score}/{region}"] for score in SCORES},
            "seconds": result.seconds,
            "peak_memory_mb": result.peak_memory_mb,
            "flags": " ".join(result.flags),
            **{key: about[key] for key in ("weights_sha256", "device", "precision")},
        }
        for result in results
        for region in regions
    ]


def tables(entries: Sequence[Entry]) -> list[Table]:
    """The entries as people read them, one table per data set and region: others do not compare."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry["data"], entry["region"]), []).append(entry)
    return [_table(data, region, group) for (data, region), group in groups.items()]


def _table(data: str, region: str, entries: Sequence[Entry]) -> Table:
    """One table: MSE ×10³, the best of each column in bold."""
    where = {"unknown": "unknown region", "whole": "whole image"}[region]
    foregrounds = max(e["n_foregrounds"] for e in entries)
    notes = [f"{_title(e)}: {e['flags']}" for e in entries if e["flags"]]
    view = Table(
        title=f"{data}, {where}, {foregrounds} foregrounds (lower is better)",
        caption="\n".join(notes) or None,
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    view.add_column("model", no_wrap=True)
    for name in ("SAD", "MSE ×10³", "Grad", "Conn", "images", "s/image", "MB"):
        view.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        scores = [_cell(entry, score, entries) for score in SCORES]
        cost = [f"{entry['seconds_per_image']:.3f}", f"{entry['peak_memory_mb']:.0f}"]
        view.add_row(_title(entry), *scores, str(entry["n_images"]), *cost)
    return view


def _title(entry: Entry) -> str:
    return entry["model"] if entry["variant"] == "-" else f"{entry['model']} {entry['variant']}"


def _cell(entry: Entry, score: str, rivals: Sequence[Entry]) -> str:
    value = entry[score]
    if value is None:
        return "-"
    text = f"{value * 1000:.2f}" if score == "MSE" else f"{value:.3f}"
    best = min(e[score] for e in rivals if e[score] is not None)
    return f"[bold]{text}[/bold]" if len(rivals) > 1 and value == best else text


def _mean(values: Sequence[float]) -> float | None:
    """Mean of what is defined; an image without unknown pixels has no MSE there."""
    defined = [v for v in values if not math.isnan(v)]
    return sum(defined) / len(defined) if defined else None


def _flags(results: Sequence[ImageResult], skipped: int) -> str:
    counts = {"skipped": skipped} if skipped else {}
    for result in results:
        for flag in result.flags:
            counts[flag] = counts.get(flag, 0) + 1
    words = {"constant": "prediction constant", "nan": "prediction not a number"}
    return ", ".join(f"{words.get(flag, flag)} on {count} images" for flag, count in counts.items())
