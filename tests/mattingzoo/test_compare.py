"""`mattingzoo compare` as a user runs it, on CSV files written by the test."""

import csv
import json
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from mattingzoo.cli import main
from mattingzoo.results import METRICS, UNITS_TEXT

Row = dict[str, Any]
SCORES = ("SAD", "MSE", "MAD", "Grad", "Conn")


def make_rows(model: str, factor: float = 1.0, count: int = 24, **fixed: Any) -> list[Row]:
    """Rows of one model: the same pictures for every model, of two per foreground."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(count):
        error = float(rng.gamma(2.0)) + 1
        jitter = float(np.random.default_rng(crc32(f"{model} {i}".encode())).uniform(0.99, 1.01))
        row: Row = dict.fromkeys(SCORES, error * factor * jitter)
        row |= {"model": model, "data": "zoo", "region": "unknown", "name": f"p{i:02}"}
        row["MSE"] /= 100
        row |= {"foreground": f"f{i // 2}", "seconds": 0.1, "peak_memory_mb": 10, "flags": ""}
        row |= {"weights_sha256": "", "device": "cpu", "precision": "32-true"}
        row |= {"content": f"{i:064x}", "units": UNITS_TEXT, "metrics": METRICS}
        found.append({**row, **fixed})
    return found


def write(path: Path, rows: list[Row], leave_out: tuple[str, ...] = ()) -> str:
    columns = [key for key in rows[0] if key not in leave_out]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compare(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["compare", *arguments])
    return " ".join(capsys.readouterr().out.split())


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["compare", *arguments])
    assert stop.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_clear_difference_and_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    old = write(tmp_path / "old" / "per_image.csv", make_rows("net"))
    new = write(tmp_path / "new" / "per_image.csv", make_rows("net2", factor=0.8))
    shown = compare(capsys, new, old, "--json", "found/out.json")
    assert shown.count("A better") == 4
    unwrapped = shown.replace(" ", "")  # long paths are broken in their middle
    assert f"A:net2in{new}" in unwrapped and f"B:netin{old}" in unwrapped
    assert "zoo, unknown region: 24 images of 12 foregrounds" in shown
    assert "in thousands, MSE ×10³" in shown and "Exact to DIM's MATLAB code" in shown
    assert "Only 12 foregrounds" in shown
    assert compare(capsys, old, new).count("B better") == 4
    [found] = json.loads(Path("found/out.json").read_text())
    sad = found["scores"]["SAD"]
    a, b = (np.mean([r["SAD"] for r in make_rows(m, f)]) for m, f in (("net2", 0.8), ("net", 1)))
    assert (sad["a"], sad["b"], sad["difference"]) == pytest.approx((a, b, a - b))
    assert sad["ci95"][0] < a - b < sad["ci95"][1] < 0 and sad["p"] < 0.001
    assert sad["better"] == "a" and (sad["n_images"], sad["n_foregrounds"]) == (24, 12)
    assert found["scores"].keys() == set(SCORES)
    assert found["units"]["SAD"] == "sum / 1000" and found["metrics"] == METRICS

    same = compare(capsys, old, old)
    assert same.count("no difference shown") == 4 and same.count("1.000") >= 4


def test_models_of_one_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [*make_rows("dim"), *make_rows("knn", 1.5)]
    path = write(tmp_path / "two.csv", rows)
    assert compare(capsys, path).count("A better") == 4
    assert compare(capsys, path, "--models", "knn,dim").count("B better") == 4
    path = write(tmp_path / "three.csv", [*rows, *make_rows("lbdm")])
    assert "holds dim, knn, lbdm; give a second file, or two" in fails(capsys, path)
    assert "several models: dim, knn, lbdm; choose with --models" in fails(capsys, path, path)
    error = fails(capsys, path, "--models", "dim,dimm")
    assert "holds no 'dimm'; there are dim, knn, lbdm" in error
    assert "takes NAME or NAME,NAME" in fails(capsys, path, "--models", "a,b,c")


def test_runs_of_one_model_are_told_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = make_rows("dim", weights_sha256="aaa1")
    rows += make_rows("dim", 0.5, weights_sha256="bbb2", device="cuda")
    path = write(tmp_path / "x.csv", rows)
    error = fails(capsys, path, "--models", "dim,dim")
    assert "several runs of 'dim'" in error and "aaa1, cpu, 32-true; bbb2, cuda, 32-true" in error
    assert "dim@TEXT" in error
    assert compare(capsys, path, "--models", "dim@aaa,dim@bbb").count("B better") == 4
    assert compare(capsys, path, "--models", "dim@cuda,dim@cpu").count("A better") == 4


def test_what_is_not_in_both_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second = make_rows("a"), make_rows("b", count=20)
    for row in second[:3]:  # pictures that failed
        row.update(dict.fromkeys(SCORES, ""))
    paths = write(tmp_path / "a.csv", first), write(tmp_path / "b.csv", second)
    shown = compare(capsys, *paths)
    assert "17 images of 9 foregrounds" in shown
    assert "without a scored partner: 7 images of A, 3 of B" in shown
    other = write(tmp_path / "c.csv", make_rows("c", data="farm"))
    error = fails(capsys, paths[0], other)
    assert "no picture is in both" in error and "zoo unknown (p00, p01" in error
    assert "farm unknown" in error and "--data NAME,NAME" in error
    assert "zoo = farm, unknown region" in compare(capsys, paths[0], other, "--data", "zoo,farm")
    error = fails(capsys, paths[0], other, "--data", "zoo")
    assert f"{other} holds nothing of zoo; there is farm unknown" in error
    assert "holds nothing of whole" in fails(capsys, *paths, "--region", "whole")


def test_regions_and_data_sets_are_never_mixed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [
        row
        for model, factor in (("a", 1.0), ("b", 2.0))
        for region, scale in (("unknown", 1), ("whole", 50))
        for row in make_rows(model, factor * scale, region=region)
    ]
    shown = compare(capsys, write(tmp_path / "x.csv", rows), "--json", "x.json")
    assert "zoo, unknown region" in shown and "zoo, whole image" in shown
    unknown, whole = json.loads(Path("x.json").read_text())
    assert whole["scores"]["SAD"]["a"] == pytest.approx(50 * unknown["scores"]["SAD"]["a"])


def test_undefined_errors_leave_pairs_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = make_rows("a")
    first[5]["MSE"] = first[5]["MAD"] = float("nan")
    path = write(tmp_path / "x.csv", [*first, *make_rows("b")])
    shown = compare(capsys, path, "--json", "x.json")
    assert "24 images of 12" in shown and "MSE of 23 images" in shown
    scores = json.loads(Path("x.json").read_text())[0]["scores"]
    assert (scores["SAD"]["n_images"], scores["MSE"]["n_images"]) == (24, 23)


def test_different_pictures_do_not_compare(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    changed = make_rows("b")
    changed[3]["content"] = "f" * 64
    path = write(tmp_path / "x.csv", [*make_rows("a"), *changed])
    error = fails(capsys, path)
    assert "1 of 24 pictures of one name are not the same in both files" in error
    assert "true matte or trimap: p03" in error
    # `score` knows no image: its digests say nothing about those of run.py.
    other = make_rows("b")
    for row in other:
        row["content"] = "alpha:" + "e" * 64
    assert "24 images" in compare(capsys, write(tmp_path / "y.csv", [*make_rows("a"), *other]))


def test_different_scales_do_not_compare(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = make_rows("b", units="SAD Grad Conn: sum; MSE MAD: mean")
    error = fails(capsys, write(tmp_path / "x.csv", [*make_rows("a"), *other]))
    assert "units differ" in error and "SAD Grad Conn: sum;" in error


def test_files_of_an_older_version(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    new = write(tmp_path / "new.csv", make_rows("a"))
    gone = ("content", "units", "metrics", "MAD")
    old = write(tmp_path / "old.csv", make_rows("b", 2.0), leave_out=gone)
    assert compare(capsys, new, old).count("A better") == 4
    assert "metric code not told" in compare(capsys, old, old).lower()


def test_foregrounds_known_to_one_file_count_for_both(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    unknowing = make_rows("b")
    for row in unknowing:
        row["foreground"] = row["name"]
    path = write(tmp_path / "x.csv", [*unknowing, *make_rows("a")])
    shown = compare(capsys, path)
    assert "24 images of 12 foregrounds" in shown
    assert "different foregrounds (24 in A, 12 in B): the fewer were drawn" in shown


def test_few_foregrounds_show_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", [*make_rows("a", count=4), *make_rows("b", 9.0, count=4)])
    shown = compare(capsys, path)
    assert "4 images of 2 foregrounds" in shown and shown.count("no difference shown") == 4
    assert "Only 2 foregrounds: too few to show a difference" in shown


def test_other_files_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "nowhere.csv is not a file" in fails(capsys, "nowhere.csv")
    path = tmp_path / "x.csv"
    path.write_text("")
    assert "has no rows" in fails(capsys, str(path))
    path.write_text("name,SAD\na,1\n")
    assert "has no column model, data, region, MSE, Grad, Conn" in fails(capsys, str(path))
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert "is no CSV file" in fails(capsys, str(path))
    rows = make_rows("a")
    rows[2]["Grad"] = "much"
    error = fails(capsys, write(path, [*rows, *make_rows("b")]))
    assert "Grad of p02 is 'much'; expected a number" in error
