"""COCO-Matting is read in both layouts, its halves are told apart, and nothing leaves the root."""

import json
import logging
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor, nn

from mattingzoo.batch import Batch, check_keys
from mattingzoo.datamodules import CocoMatting
from mattingzoo.datamodules._coco_fusion import ACCESSORIES
from mattingzoo.datamodules._coco_layout import PAIRS, MatteName, parse_name
from mattingzoo.datamodules.coco_matting import is_held_out
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.module import MattingModule
from mattingzoo.recipe import Recipe

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "layouts" / "COCO-Matting"
RELEASE = os.environ.get("COCO_MATTING_ROOT", "")  # where the real thing lies

NAMES = [
    "000000000999_baseball bat_00",
    "000000000999_hot dog_hot dog_01",
    "000000001756_handbag_handbag_00",
    "000000002000_1",
]
UNLABELED = 1756
HEIGHT, WIDTH = 6, 8


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def photograph(root: Path, image_id: int) -> Path:
    folder = "unlabeled2017" if image_id == UNLABELED else "train2017"
    return root / folder / f"{image_id:012d}.jpg"


def draw(root: Path, *folders: str) -> Path:
    """Photographs, and mattes in the folders of one of the two layouts."""
    for folder in ("train2017", "unlabeled2017", *folders):
        (root / folder).mkdir(parents=True)
    for k, name in enumerate(NAMES):
        path = photograph(root, int(name[:12]))
        Image.fromarray(noise(HEIGHT, WIDTH, 3, seed=k)).save(path)
        trimap, alpha = noise(HEIGHT, WIDTH, seed=k), noise(HEIGHT, WIDTH, seed=k + 100)
        if len(folders) == 2:
            write_png(root / "trimap" / f"{name}.png", trimap)
            write_png(root / "alpha" / f"{name}.png", alpha)
        else:
            write_png(root / PAIRS / f"{name}.png", np.hstack([trimap, alpha]))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "set", PAIRS)


def load(root: Path, which: int = 0, /, **arguments: Any) -> Any:
    data = CocoMatting(str(root), val_share=0, **arguments)
    return data.make_source("train").load(which, rng())


# names


def test_names_of_the_release_are_read_from_both_ends() -> None:
    assert parse_name("000000000999_baseball bat_00") == (999, ("baseball bat",), 0)
    assert parse_name("000000001756_handbag_handbag_07") == (1756, ("handbag", "handbag"), 7)
    assert parse_name("000000000030_1") == (30, (), 1)


@pytest.mark.parametrize(
    "stem", ["", "cat", "99_tie_00", "000000000999_tie", "000000000999", "000000000999_Tie_00",
             "000000000999__00", "../000000000999_tie_00", "000000000999_tie_0000"]
)  # fmt: skip
def test_other_names_are_no_mattes(stem: str) -> None:
    assert parse_name(stem) is None


@given(
    st.integers(0, 10**12 - 1),
    st.lists(st.sampled_from(sorted(ACCESSORIES.values())), max_size=43),
    st.integers(0, 99),
)
def test_names_round_trip(image_id: int, accessories: list[str], number: int) -> None:
    name = MatteName(image_id, tuple(accessories), number)
    assert parse_name(str(name)) == name


# reading


def test_halves_are_trimap_and_alpha(root: Path) -> None:
    pictures = load(root, 1)
    np.testing.assert_array_equal(pictures["alpha"], noise(HEIGHT, WIDTH, seed=101))
    gray = noise(HEIGHT, WIDTH, seed=1).astype(int)
    expected = np.where(gray < 85, 0, np.where(gray < 170, 128, 255))
    np.testing.assert_array_equal(pictures["trimap"], expected)
    assert pictures["image"].shape == (HEIGHT, WIDTH, 3)


def test_thresholds_of_trimaps(root: Path) -> None:
    values = np.array([0, 84, 85, 128, 169, 170, 200, 255], np.uint8)
    pair = np.hstack([np.tile(values, (HEIGHT, 1)), np.zeros((HEIGHT, WIDTH), np.uint8)])
    write_png(root / PAIRS / f"{NAMES[0]}.png", pair)
    assert load(root)["trimap"][0].tolist() == [0, 0, 128, 128, 128, 255, 255, 255]


def test_order_of_halves_is_a_setting(root: Path) -> None:
    alpha = load(root, 1, alpha_first=True)["alpha"]
    np.testing.assert_array_equal(alpha, noise(HEIGHT, WIDTH, seed=1))


def test_split_layout_gives_the_same(root: Path, tmp_path: Path) -> None:
    other = draw(tmp_path / "split", "trimap", "alpha")
    for index in range(len(NAMES)):
        first, second = load(root, index), load(other, index)
        for key in ("image", "alpha", "trimap"):
            np.testing.assert_array_equal(first[key], second[key])


def test_three_equal_channels_are_taken_as_one(root: Path) -> None:
    before = load(root)
    path = root / PAIRS / f"{NAMES[0]}.png"
    gray = np.asarray(Image.open(path))
    write_png(path, np.dstack([gray] * 3))
    np.testing.assert_array_equal(load(root)["alpha"], before["alpha"])


def test_names_and_files_of_samples(root: Path) -> None:
    source = CocoMatting(str(root), val_share=0).make_source("train")
    assert list(source.names) == NAMES
    assert source.files(2) == [photograph(root, UNLABELED), root / PAIRS / f"{NAMES[2]}.png"]
    assert source.native == {"image", "alpha", "trimap"}
    assert pickle.loads(pickle.dumps(source)).files(2) == source.files(2)


def test_photographs_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    before = load(root, 2)["image"]
    coco = tmp_path / "coco"
    coco.mkdir()
    for folder in ("train2017", "unlabeled2017"):
        (root / folder).rename(coco / folder)
    with pytest.raises(FileNotFoundError, match=r"lacks train2017/ and unlabeled2017/.*found COCO"):
        load(root)
    np.testing.assert_array_equal(load(root, 2, coco=str(coco))["image"], before)


def test_subset_takes_what_has_its_photograph_there(root: Path) -> None:
    train = CocoMatting(str(root), val_share=0, subset="train2017").make_source("train")
    assert list(train.names) == [NAMES[0], NAMES[1], NAMES[3]]
    other = CocoMatting(str(root), val_share=0, subset="unlabeled2017").make_source("train")
    assert list(other.names) == [NAMES[2]]
    with pytest.raises(ValueError, match="subset must be all, train2017 or unlabeled2017, got 'x'"):
        CocoMatting(subset="x")


# what is wrong with a copy


@pytest.mark.parametrize(("height", "width"), [(HEIGHT, 2 * WIDTH + 2), (HEIGHT + 1, 2 * WIDTH)])
def test_pair_must_be_twice_as_wide_as_its_image(root: Path, height: int, width: int) -> None:
    write_png(root / PAIRS / f"{NAMES[0]}.png", noise(height, width))
    message = (
        rf"{NAMES[0]}\.png: {width} x {height} pixels; expected 16 x 6, twice as wide as .*jpg"
    )
    with pytest.raises(BadFileError, match=message):
        load(root)


def test_split_files_must_be_of_one_size(tmp_path: Path) -> None:
    root = draw(tmp_path, "trimap", "alpha")
    write_png(root / "alpha" / f"{NAMES[0]}.png", noise(HEIGHT, WIDTH + 1))
    with pytest.raises(BadFileError, match=r"alpha/.*: 9 x 6 pixels; expected 8 x 6 as its image"):
        load(root)


def test_missing_photographs_are_named(root: Path) -> None:
    photograph(root, UNLABELED).unlink()
    with pytest.raises(FileNotFoundError, match=rf"lacks the photograph of {NAMES[2]}\.png;"):
        load(root)


def test_missing_trimap_is_named(tmp_path: Path) -> None:
    root = draw(tmp_path, "trimap", "alpha")
    (root / "trimap" / f"{NAMES[1]}.png").unlink()
    with pytest.raises(FileNotFoundError, match=rf"lacks trimap/{NAMES[1]}\.png;"):
        load(root)


def test_file_of_another_name_is_named(root: Path) -> None:
    write_png(root / PAIRS / "cat.png", noise(3, 3))
    with pytest.raises(BadFileError, match=r"cat\.png: not the name of a matte; expected IMAGE_"):
        load(root)


def test_unknown_layout_is_told_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mattes").mkdir()
    (tmp_path / "readme.txt").touch()
    message = "has neither COCO-Matting_trimap_alpha/ nor trimap/ and alpha/; found mattes/, readme"
    with pytest.raises(FileNotFoundError, match=message):
        load(tmp_path)


# the JSON


def write_index(root: Path, entries: Any) -> None:
    (root / "index.json").write_text(json.dumps(entries))


def test_json_chooses_mattes_in_its_order(root: Path) -> None:
    write_index(
        root,
        [
            {"save_path": f"24-07-30/somewhere/{NAMES[2]}.png"},
            {"save_path": f"{NAMES[0]}.png", "image_path": "train2017/000000002000.jpg"},
        ],
    )
    source = CocoMatting(str(root), val_share=0, index="index.json").make_source("train")
    assert list(source.names) == [NAMES[2], NAMES[0]]
    assert source.files(0)[0] == photograph(root, UNLABELED)
    assert source.files(1)[0] == photograph(root, 2000)


def test_json_keys_are_settings(root: Path) -> None:
    write_index(root, [{"matte": f"{NAMES[0]}.png", "photo": "train2017/000000002000.jpg"}])
    arguments = {"index": "index.json", "matte_key": "matte", "image_key": "photo"}
    source = CocoMatting(str(root), val_share=0, **arguments).make_source("train")
    assert source.files(0)[0] == photograph(root, 2000)
    with pytest.raises(BadFileError, match="entry 0 has 'matte', 'photo'; expected 'save_path' in"):
        load(root, index="index.json")


@pytest.mark.parametrize("key", ["save_path", "image_path"])
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x.png", "a/../../x.png", "..\\x.png", "C:\\x.png", "\\x", "", 3]
)
def test_json_may_not_lead_out_of_the_root(root: Path, key: str, path: Any) -> None:
    write_index(
        root, [{"save_path": f"{NAMES[0]}.png"}, {"save_path": f"{NAMES[0]}.png", key: path}]
    )
    with pytest.raises(BadFileError, match=r"entry 1: .* expected a path inside the data set"):
        load(root, index="index.json")


@pytest.mark.parametrize("content", ["", "{}", "3", "[3]", "[null]"])
def test_json_of_another_kind_is_refused(root: Path, content: str) -> None:
    (root / "index.json").write_text(content)
    with pytest.raises(BadFileError, match=r"index\.json: .*expected a list"):
        load(root, index="index.json")


def test_mattes_of_the_json_must_be_there(root: Path) -> None:
    write_index(root, [{"save_path": "000000000999_tie_05.png"}])
    with pytest.raises(FileNotFoundError, match=r"alpha/000000000999_tie_05\.png"):
        load(root, index="index.json")


# splits


def test_validation_images_are_not_trained_on(root: Path) -> None:
    data = CocoMatting(str(root), val_share=0.5)
    train, val = (set(data.make_source(split).names) for split in ("train", "val"))  # type: ignore[arg-type]
    # printf 1756 | sha256sum begins with 6b05, below 8000; 83cf of 999 and 81a8 of 2000 do not.
    assert val == {NAMES[2]}
    assert train == {NAMES[0], NAMES[1], NAMES[3]}


def test_share_held_out_is_the_share_asked_for() -> None:
    for share in (0.01, 0.2):
        held = sum(is_held_out(i, share) for i in range(20_000))
        assert held / 20_000 == pytest.approx(share, rel=0.1)
    assert not any(is_held_out(i, 0) for i in range(1000))
    # A larger share keeps what a smaller one holds out.
    assert all(is_held_out(i, 0.2) for i in range(2000) if is_held_out(i, 0.01))


def test_empty_split_says_what_to_do(root: Path) -> None:
    with pytest.raises(ValueError, match=r"none of 4 mattes falls into 'val' with val_share 0;"):
        CocoMatting(str(root), val_share=0).make_source("val")
    with pytest.raises(ValueError, match=r"val_share must lie in \[0, 1\), got 1"):
        CocoMatting(val_share=1)


def test_there_is_no_test_split(root: Path) -> None:
    with pytest.raises(ValueError, match="no 'test' split: nobody checked its mattes"):
        CocoMatting(str(root)).make_source("test")


def test_models_that_need_foregrounds_are_refused(root: Path) -> None:
    native = CocoMatting(str(root), val_share=0).source("train").native
    with pytest.raises(KeyError, match="'foreground', which CocoMatting does not have"):
        check_keys(("image", "alpha", "foreground"), native, "DIM", "CocoMatting")
    check_keys(("image", "alpha", "trimap", "box", "points", "segmentation"), native, "X", "Y")


def test_training_batches_hold_image_alpha_and_trimap(root: Path) -> None:
    recipe = Recipe(crop_size=4, crop_sides=(4,))
    data = CocoMatting(str(root), 4, num_workers=0, seed=0, recipe=recipe, val_share=0)
    raw = next(iter(data.train_dataloader()))
    assert raw is not None
    batch = data.prepare(raw, ("image", "trimap", "alpha"), "train")
    assert batch["image"].shape == (4, 3, 4, 4)
    assert batch["alpha"].shape == batch["trimap"].shape == (4, 1, 4, 4)


class OnePixel(MattingModule):
    """The smallest model that learns from image, trimap and alpha."""

    inputs = ("image", "trimap")

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 1, 1)
        self.seen: list[set[str]] = []

    def forward(self, batch: Batch) -> Tensor:
        return self.layer(torch.cat([batch["image"], batch["trimap"]], dim=1)).sigmoid()

    def training_keys(self) -> tuple[str, ...]:
        return ("image", "trimap", "alpha")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return (self(batch) - batch["alpha"]).abs().mean()

    def validation_step(self, batch: Batch | None, batch_idx: int) -> Tensor | None:
        assert batch is not None
        self.seen.append(set(batch["trimap"].unique().tolist()))
        return super().validation_step(batch, batch_idx)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_model_trains_and_validates_on_it(root: Path, tmp_path: Path) -> None:
    recipe = Recipe(crop_size=4, crop_sides=(4,))
    data = CocoMatting(str(root), 3, num_workers=0, seed=0, recipe=recipe, val_share=0.5)
    model = OnePixel()
    before = model.layer.weight.detach().clone()
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        default_root_dir=tmp_path, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, data)
    assert trainer.global_step == 1
    assert not torch.equal(model.layer.weight, before)
    assert model.seen == [{0.0, 0.5, 1.0}]  # the stored trimap, one held-out matte
    assert "val/SAD/whole" in trainer.callback_metrics


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/data/layouts/COCO-Matting")
def test_shared_layout_is_read(caplog: pytest.LogCaptureFixture) -> None:
    for index in (None, "COCO-Matting.json"):
        source = CocoMatting(str(SHARED), val_share=0, index=index).make_source("train")
        assert len(source) == 4
        assert {path.name for path in source.files(3)[:1]} <= {
            "000000001020.jpg",
            "000000001012.jpg",
        }
        with caplog.at_level(logging.WARNING):
            pictures = source.load(0, rng())
        assert caplog.text == ""
        assert {picture.shape[:2] for picture in pictures.values()} == {(360, 480)}
        trimap, alpha = pictures["trimap"], pictures["alpha"]
        assert (alpha[trimap == 255] == 255).mean() > 0.99
        assert (alpha[trimap == 0] == 0).mean() > 0.99


@pytest.mark.skipif(not RELEASE, reason="needs the release, in COCO_MATTING_ROOT")
def test_release_has_its_published_counts() -> None:
    source = CocoMatting(RELEASE, val_share=0).make_source("train")
    images = [source.files(i)[0] for i in range(len(source))]
    assert len(source) == 38_251
    assert len(set(images)) == 31_694
    folders = Counter(path.parent.name for path in images)
    assert folders == {"train2017": 19_942, "unlabeled2017": 18_309}
