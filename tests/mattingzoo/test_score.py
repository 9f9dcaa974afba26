"""`mattingzoo score` as a user runs it, on folders of small pictures."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mattingzoo import scoring
from mattingzoo.cli import main
from mattingzoo.io import write_png
from mattingzoo.scoring import ALPHA, FIRST, read_matte

Picture = NDArray[np.uint8]
NAMES = ["ape", "bee", "cat", "dog", "elk"]
TRIMAP = np.full((20, 27), 128, np.uint8)
TRIMAP[:4], TRIMAP[-4:] = 0, 255


def draw(seed: int, shape: tuple[int, ...] = (20, 27)) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, picture)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pictures in pred, alpha and trimap; predictions are the trimap where it is known."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(NAMES):
        put(tmp_path / "alpha" / f"{name}.png", draw(i))
        pred = np.where(TRIMAP == 128, draw(100 + i), TRIMAP)
        put(tmp_path / "pred" / f"{name}.png", pred)
        put(tmp_path / "trimap" / f"{name}.png", TRIMAP)
    return tmp_path


class Shown:
    """What a call printed, on one line, and the exit code."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], *options: str, trimap: bool = True
    ) -> None:
        arguments = ["score", "--pred", "pred", "--alpha", "alpha"]
        arguments += ["--trimap", "trimap"] if trimap else []
        self.code = 0
        try:
            main([*arguments, "--workers", "1", *options])
        except SystemExit as stop:
            self.code = int(stop.code or 0)
        captured = capsys.readouterr()
        self.out, self.err = " ".join(captured.out.split()), " ".join(captured.err.split())


def entries(folder: str = "scores") -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = Path(folder, "scores.json").read_text()
    loaded: list[dict[str, Any]] = json.loads(text, parse_constant=refuse)
    return loaded


def rows(folder: str = "scores") -> dict[tuple[str, str], dict[str, str]]:
    with Path(folder, "per_image.csv").open() as file:
        return {(row["name"], row["region"]): row for row in csv.DictReader(file)}


def gray(path: Path) -> NDArray[np.float64]:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float64) / 255


def by_hand(folder: Path, name: str) -> dict[str, tuple[float, float]]:
    """SAD and MSE by region, in plain numpy."""
    error = gray(folder / "pred" / f"{name}.png") - gray(folder / "alpha" / f"{name}.png")
    unknown = error[TRIMAP == 128]
    return {
        region: (float(np.abs(e).sum()) / 1000, float((e**2).mean()))
        for region, e in (("unknown", unknown), ("whole", error.ravel()))
    }


def test_scores_are_right_and_say_what_they_are(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Shown(capsys)
    assert shown.code == 0, shown.err
    found = rows()
    assert list(found) == [(name, region) for name in NAMES for region in ("unknown", "whole")]
    for (name, region), row in found.items():
        expected = by_hand(folders, name)[region]
        assert (float(row["SAD"]), float(row["MSE"])) == pytest.approx(expected, rel=1e-9)
        assert row["units"] == "SAD Grad Conn: sum / 1000; MSE MAD: mean"
        assert "DIM's MATLAB code" in row["metrics"] and "8 bits" in row["metrics"]
        assert row["flags"] == "" and row["foreground"] == name
    unknown, whole = entries()
    assert (unknown["region"], whole["region"]) == ("unknown", "whole")
    assert unknown["model"] == "pred" and unknown["data"].endswith("/alpha")
    assert unknown["n_images"] == unknown["n_foregrounds"] == 5
    sads = [by_hand(folders, name)["unknown"][0] for name in NAMES]
    assert unknown["SAD"] == pytest.approx(np.mean(sads), rel=1e-9)
    assert unknown["SAD_ci95"] is None, "five foregrounds are too few"
    assert unknown["units"]["MSE"] == "mean" and unknown["units"]["Grad"] == "sum / 1000"
    assert "unknown is 128; known region overwritten by the trimap" in unknown["protocol"]
    assert unknown["seconds_per_image"] is None and unknown["weights_sha256"] is None
    for part in (
        "unknown region, 5 foregrounds",
        "whole image, 5 foregrounds",
        "in thousands, MSE ×10³. Exact to DIM's MATLAB code",
        "Only 5 foregrounds: too few for intervals",
        "Intervals take every picture for independent",
    ):
        assert part in shown.out, part


def test_intervals_are_shown(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(8):
        for folder in ("pred", "alpha", "trimap"):
            picture = TRIMAP if folder == "trimap" else draw(50 + i + 100 * (folder == "pred"))
            put(folders / folder / f"more{i}.png", picture)
    shown = Shown(capsys)
    entry = entries()[0]
    low, high = entry["SAD_ci95"]
    assert entry["SAD"] / 2 < low < entry["SAD"] < high < 2 * entry["SAD"]
    assert f"{low:.2f}–{high:.2f}" in shown.out
    assert "95 % interval, bootstrap over foregrounds" in shown.out
    assert "Only 13 foregrounds: intervals are rough" in shown.out


def test_several_threads_find_the_same(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "pred" / "dog.png").write_bytes(b"no picture")
    one = Shown(capsys, "--out", "one")
    two = Shown(capsys, "--out", "two", "--workers", "2")
    assert (one.code, two.code) == (1, 1)
    assert (folders / "one" / "per_image.csv").read_text() == (
        folders / "two" / "per_image.csv"
    ).read_text()
    assert entries("one") == entries("two")


def test_without_trimaps_only_the_whole_image_is_scored(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Shown(capsys, trimap=False)
    assert shown.code == 0
    assert "no --trimap, so only the whole image is scored" in shown.out
    assert [entry["region"] for entry in entries()] == ["whole"]
    assert entries()[0]["protocol"].startswith("no trimaps; prediction as it is")
    alone = rows()["cat", "whole"]
    assert Shown(capsys, "--out", "with").code == 0
    assert all(alone[s] == rows("with")["cat", "whole"][s] for s in ("SAD", "MSE", "Grad", "Conn"))


@pytest.mark.parametrize("region", ["unknown", "both"])
def test_unknown_region_needs_trimaps(
    folders: Path, capsys: pytest.CaptureFixture[str], region: str
) -> None:
    shown = Shown(capsys, "--region", region, trimap=False)
    assert shown.code == 2 and f"--region {region} needs --trimap" in shown.err
    assert "--fill-known needs --trimap" in Shown(capsys, "--fill-known", trimap=False).err


def test_one_region_alone(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Shown(capsys, "--out", "both")
    for region in ("unknown", "whole"):
        shown = Shown(capsys, "--region", region, "--out", region)
        assert shown.code == 0 and [entry["region"] for entry in entries(region)] == [region]
        assert all(rows("both")[key] == row for key, row in rows(region).items())


def test_parts_are_scored_if_asked_for(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Shown(capsys).code == 0
    assert {entry["parts"] for entry in entries()} == {None}
    for name in NAMES:
        put(folders / "pred" / f"{name}.png", np.full_like(TRIMAP, 51))
    shown = Shown(capsys, "--parts", "--workers", "2")
    assert shown.code == 0, shown.err
    unknown, whole = entries()
    assert unknown["parts"] is None
    alphas = [draw(i).astype(float) for i in range(len(NAMES))]
    # The transition is the whole picture, its known pixels as the trimap has them.
    filled = np.where(TRIMAP == 128, 51.0, TRIMAP)
    expected = {
        "SAD-T": np.mean([np.abs(filled - alpha).sum() for alpha in alphas]) / 255_000,
        "SAD-BG": np.mean([np.abs(51 - alpha[:4]).sum() for alpha in alphas]) / 255_000,
        "SAD-FG": np.mean([np.abs(51 - alpha[-4:]).sum() for alpha in alphas]) / 255_000,
    }
    assert {key: whole["parts"][key] for key in expected} == pytest.approx(expected)
    assert f"SAD-T {expected['SAD-T']:.2f}, SAD-FG {expected['SAD-FG']:.2f}" in shown.out
    refused = Shown(capsys, "--parts", trimap=False)
    assert refused.code == 2
    assert "--parts needs --trimap" in refused.err


def test_trimaps_that_mean_another_gray(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = np.where(TRIMAP == 128, 127, TRIMAP).astype(np.uint8)
    put(folders / "trimap" / "bee.png", wrong)
    noisy = TRIMAP.copy()
    noisy[10, :3] = 129, 3, 250
    put(folders / "trimap" / "elk.png", noisy)
    shown = Shown(capsys)
    assert shown.code == 0
    assert "2 of 5 trimaps hold values other than 0, 128 and 255: 3, 127, 129, 250" in shown.out
    assert "WARNING: 1 of them hold no 128 at all: bee" in shown.out
    found = rows()
    assert float(found["bee", "unknown"]["SAD"]) == 0 and found["bee", "unknown"]["MSE"] == "nan"
    # Exactly 128 is unknown: the three odd pixels are left out.
    error = np.abs(gray(folders / "pred" / "elk.png") - gray(folders / "alpha" / "elk.png"))
    assert float(found["elk", "unknown"]["SAD"]) == pytest.approx(error[noisy == 128].sum() / 1000)
    assert "hold values other" not in Shown(capsys, "--region", "whole").out

    for name in NAMES:
        put(folders / "trimap" / f"{name}.png", wrong)
    shown = Shown(capsys, "--out", "none")
    assert shown.code == 2 and "no trimap holds a pixel of 128" in shown.err and "127" in shown.err
    assert not Path("none", "scores.json").exists()
    assert Shown(capsys, "--region", "whole", "--out", "none").code == 0


def test_a_trimap_without_unknown_pixels_is_told(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folders / "trimap" / "ape.png", np.where(TRIMAP == 128, 255, TRIMAP).astype(np.uint8))
    shown = Shown(capsys)
    assert shown.code == 0 and "1 of 5 trimaps have no unknown pixel: ape" in shown.out
    mses = [by_hand(folders, name)["unknown"][1] for name in NAMES[1:]]
    assert entries()[0]["MSE"] == pytest.approx(np.mean(mses), rel=1e-9)


def test_bad_pictures_do_not_stop_the_others(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folders / "pred" / "bee.png", draw(0, (10, 13)))
    (folders / "alpha" / "dog.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    put(folders / "trimap" / "elk.png", TRIMAP[:, :9])
    shown = Shown(capsys)
    assert shown.code == 1
    assert "3 of 5 pictures could not be scored" in shown.err
    assert (
        "pred/bee.png: 13 x 10 pixels; expected 27 x 20 as its true matte alpha/bee.png"
        in shown.err
    )
    assert "back to the size of its pictures" in shown.err
    assert "alpha/dog.png" in shown.err and "trimap/elk.png: 9 x 20 pixels" in shown.err
    assert "incomplete: 3 of 5 pictures could not be scored" in shown.out
    entry = entries()[0]
    assert entry["n_images"] == 2 and entry["flags"].startswith("incomplete: 3 of 5")
    assert len(entry["problems"]) == 3
    assert rows()["bee", "unknown"]["flags"] == "failed" and rows()["bee", "unknown"]["SAD"] == ""
    assert float(rows()["cat", "whole"]["SAD"]) == pytest.approx(
        by_hand(folders, "cat")["whole"][0]
    )


def test_nothing_to_score_is_an_error(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        put(folders / "pred" / f"{name}.png", draw(0, (5, 5)))
    shown = Shown(capsys)
    assert shown.code == 2 and "none of 5 pictures could be scored" in shown.err
    assert not Path("scores", "per_image.csv").exists()


def test_missing_predictions(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "pred" / "bee.png").rename(folders / "pred" / "bea.png")
    (folders / "trimap" / "dog.png").unlink()
    shown = Shown(capsys)
    assert shown.code == 2 and not Path("scores", "scores.json").exists()
    assert "1 predictions are missing in pred: bee" in shown.err
    assert "1 trimaps are missing in trimap: dog" in shown.err
    assert "1 predictions have no true matte: bea.png" in shown.err
    assert "--on-missing skip" in shown.err
    shown = Shown(capsys, "--on-missing", "skip")
    assert shown.code == 0
    note = "incomplete: 1 of 5 pictures have no prediction, 1 of 5 pictures have no trimap"
    assert note in shown.out and "left out: bea.png" in shown.out
    assert entries()[0]["n_images"] == 3 and note == entries()[0]["flags"]
    assert rows()["bee", "whole"]["flags"] == "missing" == rows()["dog", "whole"]["flags"]


def test_many_missing_names_are_cut_short(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(30):
        put(folders / "alpha" / f"n{i:02}.png", draw(i))
    error = Shown(capsys, trimap=False).err
    assert "30 predictions are missing in pred: n00, n01, n02, n03, n04, ... (30 in all)" in error


def test_names_with_an_ending(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        (folders / "pred" / f"{name}.png").rename(folders / "pred" / f"{name}_alpha.png")
        put(folders / "pred" / f"{name}_cutout.png", draw(1, (20, 27, 4)))
    shown = Shown(capsys)
    assert shown.code == 2 and "no prediction in pred has the name of a true matte" in shown.err
    assert "give --suffix=_" in shown.err
    shown = Shown(capsys, "--suffix=_alpha")
    assert shown.code == 0 and "left out" not in shown.out
    assert float(rows()["cat", "whole"]["Conn"]) > 0
    for name in NAMES:
        put(folders / "other" / f"x{name}.png", TRIMAP)
    assert "rename one of them" in Shown(capsys, "--pred", "other").err


def test_two_files_of_one_stem(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(draw(0)).save(folders / "pred" / "cat.jpg")
    shown = Shown(capsys)
    assert shown.code == 2 and "pred holds cat.jpg and cat.png, two files of one stem" in shown.err


def test_results_that_could_not_be_written_stop_before_the_work(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "score_one", None)
    assert "/proc/nowhere" in Shown(capsys, "--out", "/proc/nowhere").err
    (folders / "scores").mkdir()
    (folders / "scores" / "scores.json").write_text('[{"model": ')
    shown = Shown(capsys)
    assert shown.code == 2 and "scores/scores.json is damaged" in shown.err


def test_folders_that_are_not(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere is not a folder" in Shown(capsys, "--pred", "nowhere").err
    (folders / "empty").mkdir()
    shown = Shown(capsys, "--alpha", "empty")
    assert shown.code == 2 and "empty holds no pictures" in shown.err
    assert "--workers must be at least 1, got 0" in Shown(capsys, "--workers", "0").err


def test_formats_that_hold_the_same_matte(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores do not depend on how a matte is saved: cut-out, RGBA gray, 16 bits, TIFF, WebP."""
    Shown(capsys, "--out", "plain")
    preds = {n: cv2.imread(str(folders / "pred" / f"{n}.png"), 0) for n in NAMES}
    for name in NAMES:
        (folders / "pred" / f"{name}.png").unlink()
    colour = draw(7, (20, 27, 3))
    put(folders / "pred" / "ape.png", np.dstack([colour, preds["ape"]]))
    opaque = np.full((20, 27), 255, np.uint8)
    put(folders / "pred" / "bee.png", np.dstack([*[preds["bee"]] * 3, opaque]))
    deep = np.minimum(preds["cat"].astype(np.uint32) * 257 + 100, 65535).astype(np.uint16)
    cv2.imwrite(str(folders / "pred" / "cat.png"), deep)
    Image.fromarray(np.dstack([preds["dog"], colour[..., :2]])).save(folders / "pred" / "dog.tif")
    Image.fromarray(preds["elk"]).save(folders / "pred" / "elk.webp", lossless=True)
    shown = Shown(capsys)
    assert shown.code == 0, shown.err
    assert rows() == rows("plain")
    assert f"1 of 5 predictions are no plain mattes: {ALPHA} was taken" in shown.out
    assert f"1 of 5 predictions are no plain mattes: {FIRST} was taken" in shown.out


def test_an_opaque_cutout_is_a_matte_of_one(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    put(path, np.dstack([draw(0, (8, 9, 3)), np.full((8, 9), 255, np.uint8)]))
    matte, chosen = read_matte(path)
    assert (matte == 255).all() and chosen == ALPHA
    deep = np.dstack([draw(0, (8, 9, 3)), draw(1, (8, 9))]).astype(np.uint16) * 257
    cv2.imwrite(str(path), deep)
    matte, chosen = read_matte(path)
    assert (matte == draw(1, (8, 9))).all() and chosen == ALPHA


def test_known_region_is_scored_as_it_is_unless_told(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Shown(capsys, "--out", "filled")
    for i, name in enumerate(NAMES):
        raw = draw(100 + i)
        put(folders / "pred" / f"{name}.png", raw)
    shown = Shown(capsys, "--out", "raw")
    assert "5 of 5 predictions are not the trimap where it is known" in shown.out
    assert "prediction as it is" in entries("raw")[0]["protocol"]
    assert rows("raw")["cat", "whole"]["SAD"] != rows("filled")["cat", "whole"]["SAD"]
    shown = Shown(capsys, "--out", "told", "--fill-known")
    assert "not the trimap" not in shown.out
    assert rows("told") == rows("filled")
    assert entries("told")[0]["protocol"] == entries("filled")[0]["protocol"]


def test_composites_of_one_foreground_share_a_truth(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("pred", "trimap"):
        for name in NAMES:
            path = folders / folder / f"{name}.png"
            for i in range(3):
                put(path.with_name(f"{name}_{i}.png"), cv2.imread(str(path), 0))
            path.unlink()
    error = Shown(capsys).err
    assert "if one truth serves many pictures, give --foregrounds" in error
    shown = Shown(capsys, "--foregrounds", "(.*)_[0-9]+")
    assert shown.code == 0, shown.err
    assert "Intervals draw the 5 foregrounds that --foregrounds tells" in shown.out
    assert (entries()[0]["n_images"], entries()[0]["n_foregrounds"]) == (15, 5)
    assert {row["foreground"] for row in rows().values()} == set(NAMES)
    assert float(rows()["cat_2", "whole"]["SAD"]) > 0
    (folders / "pred" / "cat_2.png").unlink()
    error = Shown(capsys, "--foregrounds", "(.*)_[0-9]+").err
    assert "1 predictions are missing in pred: cat_2" in error, "the trimaps name every picture"


def test_equal_truths_are_one_foreground(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("dog", "elk"):
        put(folders / "alpha" / f"{name}.png", draw(0))
    shown = Shown(capsys)
    assert "Intervals draw 3 foregrounds: pictures of one and the same true matte" in shown.out
    assert entries()[0]["n_foregrounds"] == 3 and rows()["elk", "whole"]["foreground"] == "ape"


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("(.*)_[0-9]+", "'(.*)_[0-9]+' does not match 'ape'"),
        ("(", "is no regular expression"),
        (".*", "has 0 groups"),
    ],
)
def test_patterns_that_do_not_do(
    folders: Path, capsys: pytest.CaptureFixture[str], pattern: str, sentence: str
) -> None:
    shown = Shown(capsys, "--foregrounds", pattern)
    assert shown.code == 2 and sentence in shown.err


def test_methods_gather_in_one_folder(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Shown(capsys, "--name", "first", "--data", "zoo")
    for path in (folders / "pred").iterdir():
        put(path, np.zeros((20, 27), np.uint8))
    shown = Shown(capsys, "--name", "second", "--data", "zoo")
    assert "prediction constant on 5 images" in shown.out
    second = [entry["SAD"] for entry in entries() if entry["model"] == "second"]
    # Again with less: nothing of the second run before stays behind.
    for folder in ("pred", "alpha", "trimap"):
        (folders / folder / "elk.png").unlink()
    Shown(capsys, "--name", "second", "--data", "zoo", "--region", "whole")
    found = [(e["model"], e["region"], e["n_images"]) for e in entries()]
    assert found == [("first", "unknown", 5), ("first", "whole", 5), ("second", "whole", 4)]
    with Path("scores", "per_image.csv").open() as file:
        models = [row["model"] for row in csv.DictReader(file)]
    assert (models.count("first"), models.count("second")) == (10, 4)
    assert len(second) == 2


def test_interruption_ends_with_one_sentence(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(files: object, parts: bool) -> object:
        calls.append(files)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score_one(files, parts)  # type: ignore[arg-type]

    score_one = scoring.score_one
    monkeypatch.setattr(scoring, "score_one", interrupted)
    shown = Shown(capsys)
    assert shown.code == 130 and "stopped; nothing was written" in shown.err
    assert len(calls) == 2 and not Path("scores", "scores.json").exists()


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert "score any tool's mattes" in shown and "say whether two runs differ" in shown
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    assert "95 % intervals" in " ".join(capsys.readouterr().out.split())
