"""RefMatte-RW100: a sample for each entity, over the photograph that it shares with others."""

import json
from pathlib import Path

import numpy as np
import pytest

from mattingzoo.datamodules import RefMatteRW100
from mattingzoo.datamodules.refmatte_rw100 import RefMatteRW100Source
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.source import Split

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "layouts" / "RefMatte_RW_100"
ENTITIES = ["m_9ac9_0", "m_9ac9_1", "p_daf7_12"]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("image", "mask", "image_all"):
        (tmp_path / folder).mkdir()
    for k, name in enumerate(ENTITIES):
        image = name.rsplit("_", 1)[0]
        write_png(tmp_path / "image" / f"{image}.png", noise(6, 7, 3, seed=len(image)))
        write_png(tmp_path / "mask" / f"{name}.png", noise(6, 7, seed=k))
    return tmp_path


def test_each_entity_is_a_sample_over_its_image(root: Path) -> None:
    source = RefMatteRW100(str(root)).make_source("test")
    assert list(source.names) == ENTITIES
    assert source.foreground_names == source.names
    assert source.native == {"image", "alpha"}
    shown = [path.name for path in source.files(2)]
    assert shown == ["p_daf7.png", "p_daf7_12.png"]  # two digits, unlike in the authors' loaders
    pictures = source.load(1, rng())
    np.testing.assert_array_equal(pictures["alpha"], noise(6, 7, seed=1))
    np.testing.assert_array_equal(pictures["image"], source.load(0, rng())["image"])


def test_expressions_come_from_the_label_file(root: Path) -> None:
    source = RefMatteRW100Source(root)
    with pytest.raises(BadFileError, match=r"refmatte_rw100_label\.json: .*No such file"):
        source.expressions(0)
    labels = {"m_9ac9_0": {"image_name": "m_9ac9", "expressions": ["the goat", "on the left"]}}
    (root / "refmatte_rw100_label.json").write_text(json.dumps(labels))
    assert source.expressions(0) == ["the goat", "on the left"]
    with pytest.raises(BadFileError, match="KeyError: 'm_9ac9_1'; expected expressions of m_9ac9"):
        source.expressions(1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_is_a_test_set(root: Path, split: Split) -> None:
    with pytest.raises(ValueError, match=f"RefMatteRW100 is a test set, it has no '{split}' split"):
        RefMatteRW100(str(root)).make_source(split)


def test_missing_folder_is_told_with_what_is_there(root: Path) -> None:
    (root / "mask").rename(root / "alpha")
    with pytest.raises(
        FileNotFoundError,
        match=r"lacks mask/; expected image/ and mask/; found alpha/, image/, image_all/;",
    ):
        RefMatteRW100Source(root)


def test_masks_without_image_are_named(root: Path) -> None:
    (root / "image" / "m_9ac9.png").unlink()
    with pytest.raises(FileNotFoundError, match="lacks image/m_9ac9; expected a partner"):
        RefMatteRW100Source(root)


def test_masks_without_number_are_named(root: Path) -> None:
    write_png(root / "mask" / "cat.png", noise(6, 7))
    with pytest.raises(BadFileError, match=r"cat\.png: .*without a number; expected NAME_J\.png"):
        RefMatteRW100Source(root)


def test_mask_of_another_size_is_refused(root: Path) -> None:
    write_png(root / "mask" / f"{ENTITIES[0]}.png", noise(6, 8))
    with pytest.raises(BadFileError, match=r"m_9ac9_0\.png: 8 x 6 pixels; expected 7 x 6 as its"):
        RefMatteRW100Source(root).load(0, rng())


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/data/layouts/RefMatte_RW_100")
def test_shared_layout_is_read() -> None:
    source = RefMatteRW100Source(SHARED)
    assert len(source) == 5
    for index in range(5):
        pictures = source.load(index, rng())
        assert {picture.shape[:2] for picture in pictures.values()} == {(360, 480)}
        assert source.expressions(index)[0].startswith("the ")
