"""Two runs set against each other picture by picture, from their ``per_image.csv``."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mattingzoo.io import some
from mattingzoo.results import ALL_SCORES, SCORES
from mattingzoo.statistics import LEVEL, Difference, paired_difference

Row = dict[str, str]
#: What tells two rows of one model, data set, region and picture apart.
VARIANT = ("weights_sha256", "prompt", "device", "precision")
NEEDED = ("model", "data", "region", "name", *SCORES)


@dataclass
class Run:
    """Pictures that one model scored, as one file has them."""

    path: Path
    model: str
    rows: list[Row]

    def groups(self) -> dict[tuple[str, str], dict[str, Row]]:
        """Rows by (data, region) and picture, in the order of the file."""
        found: dict[tuple[str, str], dict[str, Row]] = {}
        for row in self.rows:
            found.setdefault((row["data"], row["region"]), {})[row["name"]] = row
        return found


@dataclass
class Comparison:
    """How two runs differ on one data set and region.

    Attributes:
        data: The data set; two names if the runs call it differently.
        region: ``unknown`` or ``whole``.
        scores: The differences A − B by score; SAD, Grad and Conn in thousands, MSE and MAD plain.
        left_out: How many pictures of A and of B have no scored partner.
        metrics: The metric code, as the files tell it; empty if they are too old to tell.
        notes: What has to be known besides, in sentences.
    """

    data: str
    region: str
    scores: dict[str, Difference]
    left_out: tuple[int, int]
    metrics: str
    notes: list[str]


def read_rows(path: Path) -> list[Row]:
    """Rows of a ``per_image.csv``, of ``benchmarks/run.py`` or ``mattingzoo score``, new or old.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another kind of file, or empty.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a per_image.csv")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file: {error}; expected a per_image.csv") from error
    lacking = [key for key in NEEDED if not rows or key not in rows[0]]
    if lacking:
        found = "no rows" if not rows else f"no column {', '.join(lacking)}"
        raise ValueError(
            f"{path} has {found}; expected a per_image.csv as benchmarks/run.py and `mattingzoo "
            "score` write it"
        )
    return [{key: value or "" for key, value in row.items() if key is not None} for row in rows]


def choose(path: Path, rows: Sequence[Row], model: str | None) -> Run:
    """The rows of one model.

    Args:
        path: Where the rows are from.
        rows: Rows of the data sets and regions that are to be compared.
        model: Its name, or ``NAME@TEXT`` where TEXT begins its weights' SHA-256, device or
            precision; None if the file holds only one.

    Raises:
        ValueError: If there is no such model, or more than one.
    """
    names = list(dict.fromkeys(row["model"] for row in rows))
    if model is None and len(names) > 1:
        raise ValueError(
            f"{path} holds several models: {', '.join(names)}; choose with --models A,B"
        )
    model = model or names[0]
    name, _, variant = (model, "", "") if model in names else model.partition("@")
    chosen = [
        row for row in rows if row["model"] == name and (not variant or _is_variant(row, variant))
    ]
    if not chosen:
        raise ValueError(f"{path} holds no {model!r}; there are {', '.join(names)}")
    seen = {(row["data"], row["region"], row["name"]) for row in chosen}
    if len(seen) < len(chosen):
        variants = dict.fromkeys(_variant(row) for row in chosen)
        raise ValueError(
            f"{path} holds several runs of {name!r}, by weights, prompt, device and precision: "
            f"{'; '.join(variants)}; choose with {name}@TEXT, where one of these begins with TEXT"
        )
    return Run(path, model, chosen)


def _variant(row: Row) -> str:
    return ", ".join(filter(None, (row.get(key) for key in VARIANT)))


def _is_variant(row: Row, text: str) -> bool:
    return any(row.get(key, "").startswith(text) for key in VARIANT)


def compare(a: Run, b: Run, same_data: tuple[str, str] | None = None) -> list[Comparison]:
    """Set two runs against each other, on every data set and region both have scored.

    Args:
        a: The first run.
        b: The second run.
        same_data: What the two call one and the same data set; None goes by equal names.

    Raises:
        ValueError: If they have nothing in common, their pictures are not the same, or their scores
            are in different units.
    """
    ours, theirs = a.groups(), b.groups()
    found = []
    for (data, region), rows in ours.items():
        partner = data if same_data is None else same_data[1]
        others = theirs.get((partner, region), {})
        if (same_data is None or data == same_data[0]) and rows.keys() & others.keys():
            label = data if partner == data else f"{data} = {partner}"
            found.append(_compare(a, b, label, region, rows, others))
    if not found:
        there = [f"{_groups_text(run.groups())} in {run.path} ({run.model})" for run in (a, b)]
        raise ValueError(
            f"no picture is in both: there are {' and '.join(there)}. If one data set has two "
            "names, give both: --data NAME,NAME"
        )
    return found


def _groups_text(groups: dict[tuple[str, str], dict[str, Row]]) -> str:
    texts = [f"{d} {r} ({some(list(rows), 2)})" for (d, r), rows in groups.items()]
    return "; ".join(texts)


def _compare(
    a: Run, b: Run, data: str, region: str, ours: dict[str, Row], theirs: dict[str, Row]
) -> Comparison:
    names = [n for n in ours if n in theirs and _scored(ours[n]) and _scored(theirs[n])]
    pairs = [(ours[name], theirs[name]) for name in names]
    if not pairs:
        raise ValueError(f"{data}, {region}: no picture was scored by both runs")
    _check_alike(a, b, data, pairs)
    groups, notes = _foregrounds(pairs)
    scores = {
        score: paired_difference(
            [_number(x, score, a.path) for x, _ in pairs],
            [_number(y, score, b.path) for _, y in pairs],
            groups,
        )
        for score in ALL_SCORES
        if all(x.get(score) and y.get(score) for x, y in pairs)  # old files have no MAD
    }
    left_out = (len(ours) - len(pairs), len(theirs) - len(pairs))
    told = [row["metrics"] for pair in pairs for row in pair if row.get("metrics")]
    return Comparison(data, region, scores, left_out, told[0] if told else "", notes)


def _scored(row: Row) -> bool:
    """Whether there is a score; rows of missing and failed pictures have none."""
    return all(row[score] for score in SCORES)


def _number(row: Row, score: str, path: Path) -> float:
    try:
        return float(row[score])
    except ValueError:
        raise ValueError(
            f"{path}: {score} of {row['name']} is {row[score]!r}; expected a number"
        ) from None


def _check_alike(a: Run, b: Run, data: str, pairs: Sequence[tuple[Row, Row]]) -> None:
    """Refuse to compare different pictures, or scores on different scales."""
    for key in ("units", "metrics"):
        said = {(x.get(key, ""), y.get(key, "")) for x, y in pairs}
        differing = [(x, y) for x, y in said if x and y and x != y]
        if differing:
            x, y = differing[0]
            raise ValueError(f"{key} differ: {x!r} in {a.path}, {y!r} in {b.path}; score one anew")
    others = [x["name"] for x, y in pairs if _differ(x.get("content", ""), y.get("content", ""))]
    if others:
        raise ValueError(
            f"{data}: {len(others)} of {len(pairs)} pictures of one name are not the same in both "
            f"files, in image, true matte or trimap: {some(others, 5)}. Scores on different "
            "pictures do not compare; score one of the runs anew"
        )


def _differ(a: str, b: str) -> bool:
    """Whether two digests are of different pictures; those of different kinds do not tell."""
    (kind_a, _, _), (kind_b, _, _) = a.rpartition(":"), b.rpartition(":")
    return bool(a and b) and kind_a == kind_b and a != b


def _foregrounds(pairs: Sequence[tuple[Row, Row]]) -> tuple[list[str], list[str]]:
    """The foreground of each pair, as the file has it that knows more of them to be one."""
    ours = [x.get("foreground") or x["name"] for x, _ in pairs]
    theirs = [y.get("foreground") or y["name"] for _, y in pairs]
    if len(set(ours)) == len(set(theirs)):
        return ours, []
    fewer = min(ours, theirs, key=lambda names: len(set(names)))
    counts = f"{len(set(ours))} in A, {len(set(theirs))} in B"
    return fewer, [f"The files tell different foregrounds ({counts}): the fewer were drawn."]


def better(difference: Difference) -> str | None:
    """Which run has the lower error, ``a`` or ``b``; None if that is not shown."""
    if difference.p is None or not difference.p < 1 - LEVEL or math.isnan(difference.mean):
        return None
    return "a" if difference.mean < 0 else "b"
