"""Result files of several runs and versions, and what tables say of them."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mattingzoo import leaderboard
from mattingzoo.evaluation import ImageResult
from mattingzoo.results import (
    ALL_SCORES,
    KEYS,
    UNITS,
    decimals,
    image_rows,
    summarise,
    tables,
    write_results,
)

ABOUT: dict[str, Any] = {
    **dict.fromkeys(("model", "variant", "recipe", "weights", "device", "precision"), "-"),
    "data": "zoo",
    "weights_sha256": None,
    "prompt": None,
    "seed": 0,
}
OLD_COLUMNS = ("model", "data", "region", "name", "foreground", "SAD", "MSE", "Grad", "Conn")


def results(count: int, foregrounds: int) -> list[ImageResult]:
    return [
        ImageResult(
            name=f"p{i}",
            foreground=f"f{i % foregrounds}",
            scores={f"{s}/unknown": 0.1 * (1 + i % 7) for s in ALL_SCORES},
            seconds=0.5,
            peak_memory_mb=100.0,
            content=str(i),
        )
        for i in range(count)
    ]


def summary(found: list[ImageResult], **about: Any) -> dict[str, Any]:
    [entry] = summarise(found, ["unknown"], {**ABOUT, **about}, "as it is")
    return entry


def shown(entries: list[dict[str, Any]], width: int = 100) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        for table in tables(entries):
            console.print(table)
    return capture.get()


def test_entries_say_scale_code_and_interval() -> None:
    entry = summary(results(40, 20))
    assert [*entry] == [*KEYS, "flags"]
    assert entry["units"] == UNITS and UNITS.keys() == set(ALL_SCORES)
    for score in ALL_SCORES:
        low, high = entry[f"{score}_ci95"]
        assert 0 < low < entry[score] < high
    json.dumps(entry, allow_nan=False)


def test_intervals_draw_foregrounds() -> None:
    found = results(140, 7)  # every foreground has one error of its own, twenty times over
    assert summary(found)["n_foregrounds"] == 7
    low, high = summary(found)["SAD_ci95"]
    for i, result in enumerate(found):
        result.foreground = str(i)
    narrow = summary(found)["SAD_ci95"]
    assert narrow[1] - narrow[0] < (high - low) / 3


def test_means_do_not_depend_on_the_order() -> None:
    found = results(50, 10)
    for i, result in enumerate(found):
        result.scores["SAD/unknown"] = 10.0 ** (i % 9 - 4) / 3
    forth, back = summary(found), summary(found[::-1])
    assert forth["SAD"] == back["SAD"] and forth["SAD_ci95"] == back["SAD_ci95"]


def test_few_foregrounds_have_no_interval() -> None:
    entry = summary(results(60, 5))
    assert entry["SAD_ci95"] is None and entry["SAD"] > 0
    assert "Only 5 foregrounds: too few for intervals" in shown([entry])
    assert "Only 6 foregrounds: intervals are rough" in shown([summary(results(60, 6))])


@pytest.mark.parametrize("width", [80, 100])
def test_table_is_whole_and_says_units(width: int) -> None:
    text = shown([summary(results(40, 25), model=name) for name in ("closed-form", "dim")], width)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert "zoo, unknown region, 25 foregrounds (lower is better)" in flat
    assert "SAD, Grad, Conn in thousands, MSE ×10³. Exact to DIM's MATLAB code" in flat
    assert "95 % interval, bootstrap over foregrounds" in flat and "Only" not in flat
    low, high = (f"{end:.2f}" for end in summary(results(40, 25))["SAD_ci95"])
    assert f"{low}–{high}" in flat
    assert "s/image" in flat and "MB" in flat


def test_costs_that_were_not_measured_are_not_shown() -> None:
    found = results(5, 5)
    for result in found:
        result.seconds = result.peak_memory_mb = math.nan
    entry = summary(found)
    assert entry["seconds_per_image"] is None and entry["peak_memory_mb"] is None
    assert "s/image" not in shown([entry])
    assert image_rows(found, ["unknown"], ABOUT)[0]["seconds"] == ""


def test_older_files_are_kept_and_get_empty_cells(tmp_path: Path) -> None:
    old = dict.fromkeys(OLD_COLUMNS, "1") | {"model": "old", "name": "p0", "region": "unknown"}
    with (tmp_path / "per_image.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*OLD_COLUMNS, "remark"])
        writer.writeheader()
        writer.writerow({**old, "remark": "kept"})
        file.write("old,zoo,whole,p0,p0,1,1,1,1,kept,one cell too many\n")
        file.write("old,zoo,whole,p1,p1,1,1\n")
    (tmp_path / "results.json").write_text(json.dumps([{"model": "old", "SAD": 1.0}]))
    entry, rows = summary(results(3, 3)), image_rows(results(3, 3), ["unknown"], ABOUT)
    write_results(tmp_path, [entry], rows)
    with (tmp_path / "per_image.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["model"] for row in found] == ["old"] * 3 + ["-"] * 3
    assert found[0]["remark"] == "kept" and found[0]["units"] == "" and found[0]["SAD"] == "1"
    assert found[5]["remark"] == "" and found[5]["units"].startswith("SAD Grad Conn")
    assert None not in found[1] and found[2]["Conn"] == ""
    assert [e["model"] for e in json.loads((tmp_path / "results.json").read_text())] == ["old", "-"]


def test_numbers_get_about_three_digits() -> None:
    assert decimals([3.1234, 4.6]) == ["3.12", "4.60"]
    assert decimals([0.0451, 0.0553], 1000) == ["45.1", "55.3"]
    assert decimals([-250.4, 12.0]) == ["-250", "12"]


def test_leaderboard_gets_single_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Run:
        """Stands in for a run of Weights & Biases."""

        def __init__(self) -> None:
            self.summary: dict[str, Any] = {}

        def finish(self) -> None:
            pass

    run, configs = Run(), []

    def init(**options: Any) -> Run:
        configs.append(options["config"])
        return run

    monkeypatch.setattr(leaderboard.wandb, "init", init)
    entry = {**summary(results(40, 20)), "MSE_ci95": None}
    leaderboard.log_to_wandb([entry], "offline", tmp_path / "w")
    assert all(value is None or isinstance(value, float) for value in run.summary.values())
    assert [run.summary["SAD_low"], run.summary["SAD_high"]] == entry["SAD_ci95"]
    assert run.summary["MSE_low"] is None and run.summary["MAD"] == entry["MAD"]
    assert configs[0]["units"] == UNITS and "SAD" not in configs[0]
