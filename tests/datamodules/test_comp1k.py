"""Composition-1k is read by its own rules, and what is wrong with a copy is named."""

import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.datamodules._half_check import CheckReport
from mattingzoo.datamodules.comp1k import (
    Comp1kTest,
    Comp1kTrain,
    Composition1k,
    check,
    compose,
)
from mattingzoo.io import BadFileError, Picture, write_png, write_text_atomic

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "comp1k_layout"
ADOBE, OTHER = "Adobe-licensed images", "Other"
TRAIN = {"woman-952506_1920 (1).jpg": ADOBE, "lace.jpg": OTHER, "net.jpg": ADOBE}
TEST = ["dandelion.png", "a glass.png"]


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def write_jpeg(path: Path, picture: Picture) -> None:
    Image.fromarray(picture).save(path, quality=95)


def make_training_set(root: Path) -> None:
    half, coco = root / "Training_set", root / "train2014"
    coco.mkdir(parents=True)
    for part in (ADOBE, OTHER):
        for kind in ("fg", "alpha"):
            (half / part / kind).mkdir(parents=True)
    for k, (name, part) in enumerate(TRAIN.items()):
        write_jpeg(half / part / "fg" / name, noise(12, 9 + k, 3, seed=k))
        three = k == 2  # alphas come with one channel or with three
        write_jpeg(half / part / "alpha" / name, noise(12, 9 + k, *([3] if three else []), seed=k))
    for i in range(4):
        write_jpeg(coco / f"COCO_train2014_{i}.jpg", noise(10 + i, 20, 3, seed=i))
    backgrounds = [f"COCO_train2014_{(i + i // 100) % 4}.jpg" for i in range(300)]
    write_text_atomic(half / "training_fg_names.txt", "\n".join(TRAIN))
    write_text_atomic(half / "training_bg_names.txt", "\r\n".join(backgrounds))


def make_test_set(root: Path) -> None:
    half, voc = root / "Test_set", root / "VOCdevkit" / "VOC2012" / "JPEGImages"
    voc.mkdir(parents=True)
    for kind in ("fg", "alpha", "trimaps"):
        (half / ADOBE / kind).mkdir(parents=True)
    for k, name in enumerate(TEST):
        alpha = noise(6 + k, 9, seed=k)
        write_png(half / ADOBE / "fg" / name, noise(6 + k, 9, 3, seed=k))
        write_png(half / ADOBE / "alpha" / name, np.dstack([alpha] * 3))
        for i in range(20):
            trimap = np.full((6 + k, 9), 128, np.uint8)
            trimap[0] = i % 2 * 255
            write_png(half / ADOBE / "trimaps" / f"{name[:-4]}_{i}.png", trimap)
    for i in range(4):
        write_jpeg(voc / f"2008_{i}.jpg", noise(10 + i, 20, 3, seed=50 + i))
    write_text_atomic(half / "test_fg_names.txt", "\n".join(TEST))
    backgrounds = [f"2008_{i % 4}.jpg" for i in range(40)]
    write_text_atomic(half / "test_bg_names.txt", "\n".join(backgrounds))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("comp1k")
    make_training_set(root)
    make_test_set(root)
    compose(root, "test", workers=1, progress=False)
    return root


@pytest.fixture
def root(drawn: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(drawn, tmp_path / "release")
    return tmp_path / "release"


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# training


def test_each_line_is_a_training_sample(drawn: Path) -> None:
    source = Comp1kTrain(drawn)
    assert len(source) == 300
    assert source.names[0] == "woman-952506_1920 (1)_0"
    assert source.names[137] == "lace_37"
    assert source.foreground_names[137] == "lace"
    assert len(set(source.names)) == 300


def test_line_137_is_the_second_foreground_on_its_38th_background(drawn: Path) -> None:
    files = [path.relative_to(drawn).as_posix() for path in Comp1kTrain(drawn).files(137)]
    assert files == [
        "Training_set/Other/fg/lace.jpg",
        "Training_set/Other/alpha/lace.jpg",
        "train2014/COCO_train2014_2.jpg",
    ]


@pytest.mark.parametrize("index", [0, 137, 299])
def test_training_sample_has_its_native_keys(drawn: Path, index: int) -> None:
    source = Comp1kTrain(drawn)
    pictures = source.load(index, rng())
    assert set(pictures) == source.native == {"foreground", "alpha", "background"}
    assert pictures["foreground"].shape == (12, 9 + index // 100, 3)
    assert pictures["alpha"].shape == (12, 9 + index // 100)
    assert pictures["background"].shape[1:] == (20, 3)
    assert source.true_outside


def test_exif_orientation_is_ignored_as_by_the_script(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / "Training_set" / ADOBE / "fg" / "net.jpg"
    Image.fromarray(noise(12, 11, 3)).save(path, exif=exif)
    assert Comp1kTrain(root).load(200, rng())["foreground"].shape == (12, 11, 3)


def test_coco_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "train2014").rename(tmp_path / "coco")
    with pytest.raises(FileNotFoundError, match=r"lacks train2014; expected .* as coco"):
        Comp1kTrain(root)
    assert Comp1kTrain(root, tmp_path / "coco").load(0, rng())["background"].shape == (10, 20, 3)


def test_backgrounds_left_out_take_their_pairs_with_them(drawn: Path) -> None:
    source = Comp1kTrain(drawn)
    assert source.leave_out_backgrounds({"COCO_train2014_1.jpg", "elsewhere.jpg"}) == 1
    assert len(source) == len(source.names) == len(source.foreground_names) == 225
    assert {source.files(i)[2].name for i in range(225)} == {
        f"COCO_train2014_{i}.jpg" for i in (0, 2, 3)
    }
    assert source.names[1] == "woman-952506_1920 (1)_2"  # the second pair of the list is gone


def test_source_travels_to_a_worker(drawn: Path) -> None:
    for source in (Comp1kTrain(drawn), Comp1kTest(drawn)):
        copy = pickle.loads(pickle.dumps(source))
        assert copy.files(3) == source.files(3)


# test


def test_test_sample_has_its_native_keys(drawn: Path) -> None:
    source = Comp1kTest(drawn)
    pictures = source.load(21, rng())
    assert source.names[21] == "a glass_1"
    assert source.foreground_names[21] == "a glass"
    assert set(pictures) == source.native
    assert source.native == {"image", "alpha", "trimap", "foreground", "background"}
    assert {picture.shape[:2] for picture in pictures.values()} == {(7, 9)}
    np.testing.assert_array_equal(pictures["alpha"], noise(7, 9, seed=1))


def test_shipped_trimaps_are_used_one_for_each_composite(drawn: Path) -> None:
    source = Comp1kTest(drawn)
    assert source.load(20, rng())["trimap"][0, 0] == 0
    assert source.load(21, rng())["trimap"][0, 0] == 255


def test_odd_trimap_values_are_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = np.full((6, 9), 77, np.uint8)
    write_png(root / "Test_set" / ADOBE / "trimaps" / "dandelion_3.png", odd)
    with caplog.at_level(logging.WARNING):
        trimap = Comp1kTest(root).load(3, rng())["trimap"]
    assert np.unique(trimap).tolist() == [128]
    assert "dandelion_3.png: 54 of 54 pixels" in caplog.text


def test_without_kept_backgrounds_there_is_no_native_background(root: Path) -> None:
    shutil.rmtree(root / "Test_set" / "bg")
    source = Comp1kTest(root)
    assert "background" not in source.native
    assert set(source.load(0, rng())) == source.native


def test_missing_composites_name_the_command(root: Path) -> None:
    shutil.rmtree(root / "Test_set" / "merged")
    with pytest.raises(FileNotFoundError, match="mattingzoo data compose comp1k --root"):
        Comp1kTest(root)


def test_incomplete_composites_are_named(root: Path) -> None:
    (root / "Test_set" / "merged" / "a glass_7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks Test_set/merged/a glass_7\.png; comp"):
        Comp1kTest(root)


def test_composite_of_the_wrong_size_is_refused(root: Path) -> None:
    write_png(root / "Test_set" / "merged" / "dandelion_0.png", noise(6, 10, 3))
    with pytest.raises(BadFileError, match=r"dandelion_0\.png: 10 x 6 pixels; expected 9 x 6 as"):
        Comp1kTest(root).load(0, rng())


# lists


@pytest.mark.parametrize("line", ["../secret.png", "/etc/passwd", "a/b.jpg", "..\\b.jpg"])
def test_hostile_list_is_refused(root: Path, line: str) -> None:
    path = root / "Training_set" / "training_bg_names.txt"
    path.write_text("\n".join([line, *path.read_text().splitlines()[1:]]))
    with pytest.raises(BadFileError, match=r"training_bg_names\.txt: line 1 .*plain file names"):
        Comp1kTrain(root)


def test_list_length_is_100_or_20_for_each_foreground(root: Path) -> None:
    for path, source in (
        (root / "Training_set" / "training_bg_names.txt", Comp1kTrain),
        (root / "Test_set" / "test_bg_names.txt", Comp1kTest),
    ):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:-1]))
        count = f"{len(lines) - 1} lines; expected {len(lines)}"
        with pytest.raises(ValueError, match=count):
            source(root)


def test_foregrounds_of_one_stem_are_refused(root: Path) -> None:
    path = root / "Training_set" / "training_fg_names.txt"
    path.write_text("lace.jpg\nnet.jpg\nlace.png")
    with pytest.raises(BadFileError, match="several foregrounds would be called lace"):
        Comp1kTrain(root)


def test_missing_files_are_named_all_at_once(root: Path) -> None:
    for path in (root / "train2014").iterdir():
        path.unlink()
    (root / "Training_set" / OTHER / "alpha" / "lace.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"Other/alpha/lace\.jpg, train2014/COCO_train"):
        Comp1kTrain(root)


def test_missing_half_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Training_set is not a folder; expected the"):
        Comp1kTrain(tmp_path)


# the datamodule


def test_field_validates_on_the_test_set(drawn: Path) -> None:
    data = Composition1k(str(drawn))
    assert isinstance(data.make_source("train"), Comp1kTrain)
    assert list(data.make_source("val").names) == list(data.make_source("test").names)


def test_holdout_splits_the_training_foregrounds(drawn: Path) -> None:
    data = Composition1k(str(drawn), holdout=1)
    train, val = data.make_source("train"), data.make_source("val")
    assert set(val.foreground_names) == {"net"}
    assert set(train.foreground_names) == {"woman-952506_1920 (1)", "lace"}
    assert (len(train), len(val)) == (200, 100)
    assert val.files(0) == Comp1kTrain(drawn).files(200)
    assert isinstance(data.make_source("test"), Comp1kTest)


@pytest.mark.parametrize("holdout", [-1, 3])
def test_holdout_must_leave_something(drawn: Path, holdout: int) -> None:
    with pytest.raises(ValueError, match=f"some of the 3 training foregrounds, got {holdout}"):
        Composition1k(str(drawn), holdout=holdout).make_source("train")


# the check


def test_nothing_is_wrong_with_a_whole_copy(drawn: Path) -> None:
    report = check(drawn, progress=False)
    assert report.problems == []
    assert report.counts == {
        "training foregrounds": 3,
        "training composites": 300,
        "test foregrounds": 2,
        "test composites": 40,
        "test trimaps": 40,
        "test merged": 40,
        "test bg": 40,
    }


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/data/comp1k_layout")
def test_nothing_is_wrong_with_the_shared_copy() -> None:
    report = check(SHARED, progress=False)
    assert report.problems == []
    assert report.counts["training composites"] == 800
    assert report.counts["test trimaps"] == 80


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/data/comp1k_layout")
def test_shared_copy_is_read() -> None:
    assert len(Comp1kTrain(SHARED)) == 800
    pictures = Comp1kTest(SHARED).load(79, rng())
    assert len({picture.shape[:2] for picture in pictures.values()}) == 1


def test_report_is_printed_line_by_line() -> None:
    assert (
        str(CheckReport([], {"cats": 2, "dogs": 3})) == "looked at 2 cats, 3 dogs\nnothing is wrong"
    )
    assert str(CheckReport(["a: missing"])) == "looked at nothing\na: missing\n1 problems"


def break_coco(root: Path) -> None:
    (root / "train2014" / "COCO_train2014_3.jpg").unlink()


def break_size(root: Path) -> None:
    write_jpeg(root / "Training_set" / OTHER / "alpha" / "lace.jpg", noise(12, 4))


def break_list(root: Path) -> None:
    path = root / "Training_set" / "training_bg_names.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:299]))


def break_trimap(root: Path) -> None:
    path = root / "Test_set" / ADOBE / "trimaps" / "a glass_2.png"
    write_png(path, np.full((7, 9), 5, np.uint8))


def break_trimap_file(root: Path) -> None:
    path = root / "Test_set" / ADOBE / "trimaps" / "a glass_3.png"
    path.write_bytes(path.read_bytes()[:40])


def add_unlisted(root: Path) -> None:
    write_png(root / "Test_set" / ADOBE / "fg" / "stranger.png", noise(3, 3))


def lose_composite(root: Path) -> None:
    (root / "Test_set" / "merged" / "a glass_4.png").unlink()


def lose_merged(root: Path) -> None:
    shutil.rmtree(root / "Test_set" / "merged")


def break_composite_size(root: Path) -> None:
    write_png(root / "Test_set" / "merged" / "a glass_5.png", noise(9, 9, 3))


def lose_training_set(root: Path) -> None:
    shutil.rmtree(root / "Training_set")


def lose_foreground_list(root: Path) -> None:
    (root / "Test_set" / "test_fg_names.txt").unlink()


PROBLEMS: list[tuple[Callable[[Path], None], str]] = [
    (break_coco, "train2014/COCO_train2014_3.jpg: missing"),
    (break_size, "Training_set/Other/alpha/lace.jpg: 4 x 12 pixels; expected 10 x 12 as Training"),
    (break_list, "299 lines; expected 300, 100 for each of 3 foregrounds"),
    (break_trimap, "trimaps/a glass_2.png: 63 of 63 pixels are not 0, 128 or 255 but 5"),
    (break_trimap_file, "a glass_3.png: 40 bytes"),
    (add_unlisted, "Test_set/Adobe-licensed images/fg/stranger.png: not in test_fg_names.txt"),
    (lose_composite, "Test_set/merged/a glass_4.png: missing"),
    (break_composite_size, "Test_set/merged/a glass_5.png: 9 x 9 pixels; expected 9 x 7"),
    (lose_merged, "Test_set/merged: missing, the release has you make it; run: mattingzoo data"),
    (lose_training_set, "Training_set is not a folder"),
    (lose_foreground_list, "test_fg_names.txt"),
]


@pytest.mark.parametrize(("spoil", "message"), PROBLEMS, ids=lambda value: str(value)[:24])
def test_one_thing_wrong_is_one_problem(
    root: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(root)
    problems = check(root, progress=False).problems
    assert len(problems) == 1
    assert message in problems[0]


def test_all_that_is_wrong_is_told_at_once(root: Path) -> None:
    for spoil, _ in PROBLEMS[:8]:
        spoil(root)
    problems = check(root, progress=False).problems
    assert len(problems) == 8
    for _, message in PROBLEMS[:8]:
        assert any(message in problem for problem in problems)
