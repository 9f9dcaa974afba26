"""Cut-outs meet backgrounds: at random in training, by their names in evaluation."""

from pathlib import Path

import numpy as np
import pytest

from mattingzoo.datamodules.cutouts import Cutouts, CutoutsSource
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.source import Split

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "cutouts"


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three cut-outs; seven backgrounds, which their width tells apart."""
    for folder in ("fg", "bg"):
        (tmp_path / folder).mkdir()
    for k, stem in enumerate(["cat", "bird (1)", "dog"]):
        write_png(tmp_path / "fg" / f"{stem}.png", noise(5, 6, 4, seed=k))
    for k in range(7):
        write_png(tmp_path / "bg" / f"{k}.png", noise(4, 10 + k, 3, seed=k))
    return tmp_path


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(source: CutoutsSource) -> dict[str, str]:
    return {name: source.files(i)[1].name for i, name in enumerate(source.names)}


def width(source: CutoutsSource, index: int, seed: int) -> int:
    return int(source.load(index, rng(seed))["background"].shape[1])


def test_sample_is_a_cutout_and_a_background(root: Path) -> None:
    source = CutoutsSource(root / "fg", root / "bg")
    pictures = source.load(10, rng())
    assert set(pictures) == source.native
    np.testing.assert_array_equal(pictures["foreground"], noise(5, 6, 4)[..., :3])
    np.testing.assert_array_equal(pictures["alpha"], noise(5, 6, 4)[..., 3])
    assert pictures["background"].shape[0] == 4
    assert not source.true_outside


def test_names_number_the_samples_of_each_foreground(root: Path) -> None:
    source = CutoutsSource(root / "fg", root / "bg", per_foreground=2)
    assert list(source.names) == ["bird (1)_0", "bird (1)_1", "cat_0", "cat_1", "dog_0", "dog_1"]
    assert source.foreground_names[2:4] == ["cat", "cat"]


def test_training_draws_the_background_from_the_samples_seed(root: Path) -> None:
    source = CutoutsSource(root / "fg", root / "bg")
    assert {width(source, 0, seed) for seed in range(60)} == set(range(10, 17))
    assert width(source, 0, 5) == width(source, 0, 5)
    assert len(source.files(0)) == 1


def test_evaluation_ignores_the_seed(root: Path) -> None:
    source = CutoutsSource(root / "fg", root / "bg", fixed=True)
    assert len({width(source, 0, seed) for seed in range(20)}) == 1
    assert len(set(pairs(source).values())) > 3


def test_fixed_pairs_do_not_depend_on_order_or_on_other_foregrounds(root: Path) -> None:
    (root / "fg.txt").write_text("dog.png\ncat.png\n")
    (root / "bg.txt").write_text("".join(f"{k}.png\n" for k in (3, 1, 6, 0, 5, 2, 4)))
    every = pairs(CutoutsSource(root / "fg", root / "bg", fixed=True))
    listed = pairs(
        CutoutsSource(root / "fg", root / "bg", root / "fg.txt", root / "bg.txt", fixed=True)
    )
    assert len(listed) == 20
    assert listed == {name: every[name] for name in listed}


def test_fixed_pairs_are_the_same_for_ever(root: Path) -> None:
    source = CutoutsSource(root / "fg", root / "bg", per_foreground=4, fixed=True)
    found = [pairs(source)[f"cat_{k}"] for k in range(4)]
    # printf cat_0 | sha256sum: the first 16 digits modulo 7
    assert found == ["6.png", "3.png", "6.png", "4.png"]


def test_lists_keep_their_order(root: Path) -> None:
    (root / "fg.txt").write_text("dog.png\r\nbird (1).png")
    source = CutoutsSource(root / "fg", root / "bg", root / "fg.txt", per_foreground=1)
    assert list(source.names) == ["dog_0", "bird (1)_0"]


@pytest.mark.parametrize("line", ["../bg/1.png", "/etc/passwd", "..\\a.png"])
def test_hostile_list_is_refused(root: Path, line: str) -> None:
    (root / "fg.txt").write_text(f"cat.png\n{line}\n")
    with pytest.raises(BadFileError, match=r"fg\.txt: line 2"):
        CutoutsSource(root / "fg", root / "bg", root / "fg.txt")


def test_listed_files_that_are_missing_are_named(root: Path) -> None:
    (root / "fg.txt").write_text("cat.png\ncow.png\nape.png\n")
    with pytest.raises(FileNotFoundError, match=r"fg\.txt: .*fg lacks ape\.png, cow\.png;"):
        CutoutsSource(root / "fg", root / "bg", root / "fg.txt")


def test_empty_list_and_empty_folder_are_named(root: Path) -> None:
    (root / "fg.txt").write_text("\n")
    with pytest.raises(FileNotFoundError, match=r"fg\.txt: no names"):
        CutoutsSource(root / "fg", root / "bg", root / "fg.txt")
    (root / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="none is empty"):
        CutoutsSource(root / "fg", root / "none")
    with pytest.raises(FileNotFoundError, match="gone is not a folder"):
        CutoutsSource(root / "gone", root / "bg")


def test_foregrounds_of_one_stem_are_refused(root: Path) -> None:
    write_png(root / "fg" / "cat.webp", noise(5, 6, 4))
    with pytest.raises(BadFileError, match="several foregrounds are called cat"):
        CutoutsSource(root / "fg", root / "bg")


def test_foreground_without_alpha_is_refused(root: Path) -> None:
    write_png(root / "fg" / "cat.png", noise(5, 6, 3))
    with pytest.raises(BadFileError, match=r"cat\.png: the picture has no alpha channel"):
        CutoutsSource(root / "fg", root / "bg").load(10, rng())


def test_per_foreground_must_be_positive(root: Path) -> None:
    with pytest.raises(ValueError, match="per_foreground must be at least 1, got 0"):
        CutoutsSource(root / "fg", root / "bg", per_foreground=0)


def test_lists_of_a_split_are_found(root: Path) -> None:
    (root / "fg_val.txt").write_text("cat.png\n")
    (root / "bg_val.txt").write_text("2.png\n")
    data = Cutouts(str(root), per_foreground=3)
    val = data.make_source("val")
    assert list(val.names) == ["cat_0", "cat_1", "cat_2"]
    assert {path.name for i in range(3) for path in val.files(i)} == {"cat.png", "2.png"}
    assert len(data.make_source("train")) == 9
    assert len(data.make_source("train").files(0)) == 1
    assert len(data.make_source("test").files(0)) == 2


def test_backgrounds_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "bg_train.txt").write_text("2.png\n")
    (root / "bg").rename(tmp_path / "coco")
    source = Cutouts(str(root), backgrounds=str(tmp_path / "coco")).make_source("train")
    assert source.load(0, rng())["background"].shape[0] == 4


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/data/cutouts")
@pytest.mark.parametrize(("split", "count"), [("train", 179), ("val", 25), ("test", 36)])
def test_shared_cutouts_have_their_splits(split: Split, count: int) -> None:
    source = Cutouts(str(SHARED)).make_source(split)
    assert len(source) == 10 * count
    pictures = source.load(len(source) - 1, rng())
    assert pictures["foreground"].shape[:2] == pictures["alpha"].shape
