"""Distinctions-646: composed by the authors' rule, while loading or before."""

import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.cli.main import main
from mattingzoo.datamodules.distinctions646 import (
    Distinctions646,
    check,
    compose,
    evaluation_half,
    training_half,
)
from mattingzoo.dataset import MattingDataset
from mattingzoo.io import BadFileError, Picture, read_gray, read_rgb, write_png, write_text_atomic
from mattingzoo.source import Source

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
LAYOUT = SHARED / "layouts" / "Distinctions-646"
COMP1K = SHARED / "comp1k_layout"
TRAIN = ["13(2)", "27", "h_10"]
TEST = ["test_2", "test_10"]  # as the release orders them, not as strings are ordered


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with 5 training and 23 test backgrounds, alone in its folders."""
    root = tmp_path_factory.mktemp("distinctions") / "data" / "sets" / "Distinctions-646"
    for half, names in {"Train": TRAIN, "Test": TEST}.items():
        for k, name in enumerate(names):
            for kind, shape in {"FG": (6 + k, 9, 3), "GT": (6 + k, 9)}.items():
                (root / half / kind).mkdir(parents=True, exist_ok=True)
                write_png(root / half / kind / f"{name}.png", noise(*shape, seed=k))
    for folder, count in {"train2014": 5, "VOCdevkit/VOC2012/JPEGImages": 23}.items():
        (root / folder).mkdir(parents=True)
        for i in range(count):
            picture = noise(*((4, 7, 3) if i % 2 else (10, 12, 3)), seed=100 + i)
            Image.fromarray(picture).save(root / folder / f"{i:03}.jpg", quality=95)
    return root


@pytest.fixture
def root(drawn: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(drawn, tmp_path / "data" / "sets" / "release"))


def voc(root: Path) -> Path:
    return root / "VOCdevkit" / "VOC2012" / "JPEGImages"


def source_of(root: Path, split: str = "test", **settings: object) -> Source:
    return Distinctions646(str(root), **settings).make_source(split)  # type: ignore[arg-type]


def shown(source: Source, index: int) -> list[str]:
    return [path.name for path in source.files(index)]


def scored(source: Source, index: int) -> dict[str, Picture]:
    """The pictures that are scored, as bytes."""
    sample = MattingDataset(source, 0, None)[0, index]
    assert sample is not None
    keys = ("image", "alpha", "foreground", "background")
    return {key: sample[key].permute(1, 2, 0).numpy() for key in keys}  # type: ignore[literal-required]


def by_the_authors(foreground: Picture, alpha: Picture, background: Path) -> Picture:
    """Their rule, pixel by pixel in Python numbers: enlarge if too small, top left, truncate."""
    height, width = alpha.shape
    with Image.open(background) as opened:
        under = opened.convert("RGB")
    ratio = max(height / under.height, width / under.width)
    if ratio > 1:
        size = (int(np.ceil(under.width * ratio)), int(np.ceil(under.height * ratio)))
        under = under.resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(under)
    image = np.zeros_like(foreground)
    for y, x, c in np.ndindex(foreground.shape):
        opacity = int(alpha[y, x]) / 255
        image[y, x, c] = int(
            opacity * int(foreground[y, x, c]) + (1 - opacity) * int(pixels[y, x, c])
        )
    return image


def compose_as_the_authors(root: Path) -> None:
    """Move the originals to Test_ori, and write Test as the authors' script does."""
    (root / "Test").rename(root / "Test_ori")
    for kind in ("Image", "GT", "FG", "BG"):
        (root / "Test" / kind).mkdir(parents=True)
    half = evaluation_half(root)
    for i in range(len(half)):
        foreground, alpha = read_rgb(half.foreground(i)), read_gray(half.alpha(i))
        image = by_the_authors(foreground, alpha, half.background(i))
        layers = {"Image": image, "GT": alpha, "FG": foreground, "BG": image}
        for kind, picture in layers.items():
            write_png(root / "Test" / kind / f"test_{i}.png", picture)


# pairs


def test_foreground_j_goes_onto_backgrounds_20j_to_20j_plus_19(drawn: Path) -> None:
    source = source_of(drawn)
    assert len(source) == 40
    assert [source.names[i] for i in (0, 19, 20, 39)] == [
        "test_2_0", "test_2_19", "test_10_0", "test_10_19",
    ]  # fmt: skip
    assert source.foreground_names[19:21] == ["test_2", "test_10"]
    assert shown(source, 0) == ["test_2.png", "test_2.png", "000.jpg"]
    assert shown(source, 19) == ["test_2.png", "test_2.png", "019.jpg"]
    assert shown(source, 22) == ["test_10.png", "test_10.png", "022.jpg"]
    assert shown(source, 23) == ["test_10.png", "test_10.png", "000.jpg"]  # begun again


@pytest.mark.parametrize(("per_foreground", "expected"), [(None, 100), (80, 80), (2, 2)])
def test_training_takes_the_papers_100_backgrounds_or_other_many(
    drawn: Path, per_foreground: int | None, expected: int
) -> None:
    source = source_of(drawn, "train", per_foreground=per_foreground)
    assert len(source) == 3 * expected
    assert source.names[0] == "13(2)_0"
    assert source.names[-1] == f"h_10_{expected - 1}"
    assert shown(source, expected)[::2] == ["27.png", f"{expected % 5:03}.jpg"]


def test_sample_is_foreground_matte_and_background(drawn: Path) -> None:
    source = source_of(drawn, "train")
    pictures = source.load(100, rng())
    assert set(pictures) == source.native == {"foreground", "alpha", "background"}
    np.testing.assert_array_equal(pictures["foreground"], noise(7, 9, 3, seed=1))
    np.testing.assert_array_equal(pictures["alpha"], noise(7, 9, seed=1))
    assert not source.true_outside


def test_authors_lists_replace_order_and_number(root: Path) -> None:
    write_text_atomic(root / "fg_train.txt", "27.png\n13(2).png\n")
    write_text_atomic(root / "Train" / "bg_train.txt", "004.jpg\r\n001.jpg\r\n" * 3)
    source = source_of(root, "train")
    assert list(source.names) == ["27_0", "27_1", "27_2", "13(2)_0", "13(2)_1", "13(2)_2"]
    assert [shown(source, i)[2] for i in range(4)] == ["004.jpg", "001.jpg", "004.jpg", "001.jpg"]


def test_list_that_does_not_fit_is_refused(root: Path) -> None:
    write_text_atomic(root / "bg_test.txt", "004.jpg\n" * 30)
    with pytest.raises(ValueError, match=r"30 lines; expected 40, 20 for each of 2 foregrounds in"):
        source_of(root)
    write_text_atomic(root / "bg_train.txt", "004.jpg\n" * 7)
    with pytest.raises(ValueError, match=r"7 lines; expected 6, 2 for each of 3 foregrounds"):
        source_of(root, "train")


@pytest.mark.parametrize("line", ["../../secret.jpg", "/etc/passwd", "a\\b.jpg", ".."])
@pytest.mark.parametrize("name", ["fg_test.txt", "bg_test.txt"])
def test_hostile_list_is_refused(root: Path, name: str, line: str) -> None:
    write_text_atomic(root / name, line)
    with pytest.raises(BadFileError, match=rf"{name}: line 1 .*plain file names"):
        source_of(root)


def test_source_travels_to_a_worker(drawn: Path) -> None:
    source = source_of(drawn)
    assert pickle.loads(pickle.dumps(source)).files(21) == source.files(21)


# three ways to the same composites


@pytest.mark.parametrize("index", [0, 1, 25])
def test_composite_made_while_loading_is_the_authors(drawn: Path, index: int) -> None:
    half = evaluation_half(drawn)
    pictures = scored(source_of(drawn), index)
    expected = by_the_authors(
        read_rgb(half.foreground(index)), read_gray(half.alpha(index)), half.background(index)
    )
    np.testing.assert_array_equal(pictures["image"], expected)


def test_composites_made_before_are_those_made_while_loading(root: Path) -> None:
    before = [scored(source_of(root), i) for i in range(40)]
    report = compose(root, "test", workers=1, progress=False)
    assert (report.written, report.failures) == (40, [])
    source = source_of(root)
    assert source.native == {"image", "alpha", "foreground", "background"}
    assert shown(source, 21)[1] == "test_10_1.png"
    for i, expected in enumerate(before):
        for key, picture in scored(source, i).items():
            np.testing.assert_array_equal(picture, expected[key], err_msg=f"{i} {key}")


def test_unfinished_composites_name_the_command(root: Path) -> None:
    compose(root, "test", workers=1, progress=False)
    (root / "Test" / "merged" / "test_2_7.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"lacks Test/merged/test_2_7\.png; .*data compose distinctions646"
    ):
        source_of(root)


def test_composites_of_the_authors_script_are_read(root: Path) -> None:
    before = [scored(source_of(root), i)["image"] for i in range(40)]
    compose_as_the_authors(root)
    source = source_of(root)
    assert source.native == {"image", "alpha", "foreground", "background"}
    assert list(source.names) == [f"test_{i}" for i in range(40)]
    assert [source.foreground_names[i] for i in (0, 19, 20)] == ["test_0", "test_0", "test_1"]
    for i, expected in enumerate(before):
        np.testing.assert_array_equal(source.load(i, rng())["image"], expected)


def test_layers_of_the_authors_script_may_lack(root: Path) -> None:
    compose_as_the_authors(root)
    for kind in ("FG", "BG"):
        shutil.rmtree(root / "Test" / kind)
    source = source_of(root)
    assert set(source.load(3, rng())) == source.native == {"image", "alpha"}
    (root / "Test" / "GT" / "test_3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks GT/test_3; expected a partner"):
        source_of(root)


def test_composites_are_not_composed_again(root: Path) -> None:
    (root / "Train" / "Image").mkdir()
    with pytest.raises(ValueError, match=r"Train holds composites.*pass their folder as train_fol"):
        source_of(root, "train")
    with pytest.raises(ValueError, match="holds composites"):
        compose(root, "train", progress=False)


# folders


@pytest.mark.parametrize("names", [("train", "fg", "gt"), ("Train_ori", "FG", "Gt")])
def test_folders_are_found_in_any_case(root: Path, names: tuple[str, str, str]) -> None:
    train, fg, gt = names
    (root / "Train").rename(root / "half")
    (root / "half" / "FG").rename(root / "half" / "f")
    (root / "half" / "GT").rename(root / "half" / "g")
    (root / "half" / "f").rename(root / "half" / fg)
    (root / "half" / "g").rename(root / "half" / gt)
    (root / "half").rename(root / train)
    expected = [root / train / fg / "13(2).png", root / train / gt / "13(2).png"]
    assert source_of(root, "train").files(0)[:2] == expected


def test_folders_of_any_name_are_settings(root: Path) -> None:
    (root / "Test" / "FG").rename(root / "Test" / "Fg_images")
    (root / "Test" / "GT").rename(root / "Test" / "Alpha_matte")
    (root / "Test").rename(root / "testing")
    settings = {"test_folder": "testing", "fg_folder": "Fg_images", "gt_folder": "Alpha_matte"}
    assert source_of(root, **settings).files(0)[1] == root / "testing/Alpha_matte/test_2.png"


def test_missing_half_is_told_with_what_is_there(root: Path) -> None:
    (root / "Test").rename(root / "Testing")
    with pytest.raises(
        FileNotFoundError,
        match=r"expected FG/ and GT/ in Test_ori/ or Test/ of .*; found Testing/, Train/, VOCdev",
    ):
        source_of(root)


def test_missing_mattes_are_named(root: Path) -> None:
    (root / "Test" / "GT" / "test_10.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks Test/GT/test_10\.png; expected every file"):
        source_of(root)


def test_matte_of_another_size_is_refused(root: Path) -> None:
    write_png(root / "Test" / "GT" / "test_2.png", noise(6, 8))
    with pytest.raises(BadFileError, match=r"test_2\.png: 8 x 6 pixels; expected 9 x 6 as its"):
        source_of(root).load(0, rng())


# backgrounds


def test_missing_backgrounds_are_told_with_the_way_out(root: Path) -> None:
    shutil.rmtree(root / "VOCdevkit")
    with pytest.raises(
        FileNotFoundError, match=r"lacks VOCdevkit/VOC2012/JPEGImages; .*pass their folder as voc"
    ):
        source_of(root)
    with pytest.raises(FileNotFoundError, match=r"JPEGImages is not a folder.*as voc"):
        compose(root, "test", progress=False)
    (root / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds no pictures to compose on"):
        source_of(root, voc=str(root / "empty"))


def test_backgrounds_may_lie_anywhere(root: Path, tmp_path: Path) -> None:
    voc(root).rename(tmp_path / "photographs")
    (root / "train2014").rename(tmp_path / "coco")
    source = source_of(root, voc=str(tmp_path / "photographs"))
    assert source.files(1)[2] == tmp_path / "photographs" / "001.jpg"
    source = source_of(root, "train", coco=str(tmp_path / "coco"))
    assert source.files(1)[2] == tmp_path / "coco" / "001.jpg"


def test_backgrounds_are_found_beside_the_root(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "VOCdevkit").rename(root.parent / "VOCdevkit")
    assert source_of(root).files(1)[2] == voc(root.parent) / "001.jpg"
    assert not caplog.records


def test_backgrounds_of_another_set_are_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = root.parents[1] / "comp1k"
    other.mkdir()
    (root / "VOCdevkit").rename(other / "VOCdevkit")
    with caplog.at_level(logging.WARNING):
        assert source_of(root).files(1)[2] == voc(other) / "001.jpg"
    assert f"taken from {voc(other)}" in caplog.text


# the datamodule


def test_field_validates_on_the_test_set(drawn: Path) -> None:
    assert list(source_of(drawn, "val").names) == list(source_of(drawn).names)


def test_holdout_splits_the_training_foregrounds(drawn: Path) -> None:
    train, val = (source_of(drawn, split, holdout=1) for split in ("train", "val"))
    assert set(val.foreground_names) == {"h_10"}
    assert set(train.foreground_names) == {"13(2)", "27"}
    assert val.files(0) == source_of(drawn, "train").files(200)
    with pytest.raises(ValueError, match="some of the 3 training foregrounds, got 3"):
        source_of(drawn, "train", holdout=3)


def test_per_foreground_is_at_least_1() -> None:
    with pytest.raises(ValueError, match="per_foreground must be at least 1, got 0"):
        Distinctions646(per_foreground=0)


# check, and the command line


def test_nothing_is_wrong_with_a_whole_copy(drawn: Path) -> None:
    report = check(drawn, progress=False)
    assert report.problems == []
    assert report.counts == {
        "training foregrounds": 3,
        "training composites": 300,
        "test foregrounds": 2,
        "test composites": 40,
    }


def test_all_that_is_wrong_is_told_at_once(root: Path) -> None:
    write_png(root / "Train" / "GT" / "27.png", noise(2, 3))
    write_png(root / "Train" / "GT" / "stranger.png", noise(2, 3))
    (root / "Test" / "GT" / "test_2.png").unlink()
    shutil.rmtree(root / "train2014")
    problems = check(root, progress=False).problems
    expected = [
        "train2014: missing",
        "Train/GT/stranger.png: not in FG",
        "Train/GT/27.png: 3 x 2 pixels; expected 9 x 7 as Train/FG/27.png",
        "Test/GT/test_2.png: missing",
    ]
    assert problems == expected


def test_composites_are_checked_however_they_were_made(root: Path) -> None:
    compose(root, "test", workers=1, progress=False)
    (root / "Test" / "merged" / "test_2_3.png").unlink()
    report = check(root, progress=False)
    assert report.problems == ["Test/merged/test_2_3.png: missing"]
    assert report.counts["test bg"] == 40
    for folder in ("merged", "bg"):
        shutil.rmtree(root / "Test" / folder)
    compose_as_the_authors(root)
    assert check(root, progress=False).problems == []
    write_png(root / "Test" / "BG" / "test_4.png", noise(2, 3))
    problems = check(root, progress=False).problems
    assert problems == ["Test/BG/test_4.png: 3 x 2 pixels; expected 9 x 6 as Test/Image/test_4.png"]
    (root / "Test" / "GT" / "test_5.png").unlink()
    assert "lacks GT/test_5" in check(root, progress=False).problems[0]


def test_commands_of_comp1k_work_alike(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "check", "distinctions646", "--root", str(root)])
    assert "40 test composites\nnothing is wrong" in capsys.readouterr().out
    command = ["data", "compose", "distinctions646", "--root", str(root), "--workers", "1"]
    main(command)
    assert "40 written, 0 were there, 0 failed" in capsys.readouterr().out
    main(command)
    assert "0 written, 40 were there, 0 failed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--voc", str(root / "gone")])
    assert "gone is not a folder" in capsys.readouterr().err


# the sample in ../shared


@pytest.mark.skipif(not LAYOUT.is_dir(), reason="needs shared/data/layouts/Distinctions-646")
def test_shared_layout_is_read() -> None:
    coco, photographs = COMP1K / "train2014", voc(COMP1K)
    train, test = training_half(LAYOUT, coco), evaluation_half(LAYOUT, photographs)
    assert train.foregrounds == ["13(2).png", "27.png", "h_10.png", "plant_4.png"]
    assert test.foregrounds == ["5.png", "h_2.png"]
    source = source_of(LAYOUT, voc=str(photographs))
    assert len(source) == 40
    pictures = scored(source, 27)
    assert {picture.shape[:2] for picture in pictures.values()} == {(169, 199)}
    assert check(LAYOUT, coco, photographs, progress=False).problems == []
