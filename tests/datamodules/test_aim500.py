"""AIM-500: natural images of three types, and a file that says which is which."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mattingzoo.datamodules import AIM500
from mattingzoo.datamodules.aim500 import LABELS, TYPES, AIM500Source, Label
from mattingzoo.io import BadFileError, Picture, write_png
from mattingzoo.source import Split

LAYOUT = Path(__file__).parents[2].parent / "shared" / "data" / "layouts" / "AIM-500"
NAMES = ["o_0a", "o_1b", "o_2c"]
ENTRIES = {
    "o_1b": {"type": "STM", "category": "transparent"},
    "o_2c": {"type": "NS", "category": "plant"},
    "o_0a": {"type": "SO", "category": "animal", "note": 1},
    "o_9z": {"type": "SO", "category": "toy"},  # of an image that is not in this copy
}


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind in ("original", "mask", "trimap", "usr"):
        (tmp_path / kind).mkdir()
        for k, name in enumerate(NAMES):
            if kind == "original":
                Image.fromarray(noise(6, 7, 3)).save(tmp_path / kind / f"{name}.jpg")
                continue
            picture = noise(6, 7, seed=10 * len(kind) + k)
            picture = picture if kind == "mask" else picture // 128 * 255
            write_png(tmp_path / kind / f"{name}.png", picture)
    (tmp_path / LABELS).write_text(json.dumps(ENTRIES))
    return tmp_path


def test_image_comes_with_matte_and_shipped_trimap(root: Path) -> None:
    source = AIM500(str(root)).make_source("test")
    assert list(source.names) == NAMES
    pictures = source.load(1, rng())
    assert set(pictures) == source.native == {"image", "alpha", "trimap"}
    np.testing.assert_array_equal(pictures["alpha"], noise(6, 7, seed=41))
    np.testing.assert_array_equal(pictures["trimap"], noise(6, 7, seed=61) // 128 * 255)
    assert source.files(1)[0] == root / "original" / "o_1b.jpg"


def test_without_shipped_trimaps_they_are_not_native(root: Path) -> None:
    (root / "trimap").rename(root / "aside")
    assert AIM500Source(root).native == {"image", "alpha"}


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_is_a_test_set(root: Path, split: Split) -> None:
    with pytest.raises(ValueError, match=f"AIM500 is a test set, it has no '{split}' split"):
        AIM500(str(root)).make_source(split)


def test_semantic_map_is_read_apart(root: Path) -> None:
    source = AIM500Source(root)
    np.testing.assert_array_equal(source.semantic_map(2), noise(6, 7, seed=32) // 128 * 255)
    write_png(root / "usr" / "o_2c.png", noise(6, 8))
    with pytest.raises(BadFileError, match=r"o_2c\.png: 8 x 6 pixels; expected 7 x 6 as its alpha"):
        source.semantic_map(2)
    (root / "usr" / "o_1b.png").unlink()
    with pytest.raises(BadFileError, match=r"usr.o_1b\.png: no such file"):
        source.semantic_map(1)


# labels


def test_labels_are_in_the_order_of_the_samples(root: Path) -> None:
    expected = [Label("SO", "animal"), Label("STM", "transparent"), Label("NS", "plant")]
    assert AIM500Source(root).labels() == expected


def test_scoring_needs_no_labels(root: Path) -> None:
    (root / LABELS).unlink()
    source = AIM500Source(root)
    assert len(source) == 3
    with pytest.raises(BadFileError, match=r"aim_category_type\.json: FileNotFoundError"):
        source.labels()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSONDecodeError"),
        (b"\xff\xfe\x00", "JSON of at most"),
        (b"[" * 200_000, "RecursionError"),
        (b"[]", "no such entry for o_0a, o_1b, o_2c"),
        (json.dumps({**ENTRIES, "o_1b": ["SO", "toy"]}).encode(), "no such entry for o_1b;"),
        (json.dumps({**ENTRIES, "o_1b": {"type": "SO"}}).encode(), "no such entry for o_1b;"),
        (
            json.dumps({**ENTRIES, "o_2c": {"type": "../SO", "category": "toy"}}).encode(),
            "no such entry for o_2c; expected .*SO or STM or NS",
        ),
        (
            json.dumps({**ENTRIES, "o_2c": {"type": [], "category": "toy"}}).encode(),
            "no such entry for o_2c;",
        ),
        (
            json.dumps({**ENTRIES, "o_2c": {"type": "NS", "category": 3}}).encode(),
            "no such entry for o_2c;",
        ),
        (json.dumps({"o_0a": ENTRIES["o_0a"]}).encode(), "no such entry for o_1b, o_2c;"),
        (b" " * (2**24 + 1), "ValueError: 16777217 bytes; expected JSON of at most 16777216"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_hostile_labels_are_refused(root: Path, content: bytes, message: str) -> None:
    (root / LABELS).write_bytes(content)
    with pytest.raises(BadFileError, match=message):
        AIM500Source(root).labels()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TYPES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "category", *NAMES]) | st.text(), inner)
    ),
    max_leaves=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(NAMES), JSON) | JSON)
def test_labels_are_labels_or_a_bad_file(root: Path, content: Any) -> None:
    (root / LABELS).write_text(json.dumps(content))
    try:
        labels = AIM500Source(root).labels()
    except BadFileError:
        return
    for name, label in zip(NAMES, labels, strict=True):
        assert content[name]["type"] == label.type in TYPES
        assert content[name]["category"] == label.category != ""


def test_missing_folder_is_told_with_what_is_there(root: Path) -> None:
    (root / "mask").rename(root / "alpha")
    with pytest.raises(FileNotFoundError, match=r"lacks mask/; .*found alpha/, original/, trimap/"):
        AIM500Source(root)


def test_missing_partner_is_named(root: Path) -> None:
    (root / "original" / "o_1b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="lacks original/o_1b; expected a partner"):
        AIM500Source(root)


@pytest.mark.skipif(not LAYOUT.is_dir(), reason="needs shared/data/layouts/AIM-500")
def test_shared_layout_is_read() -> None:
    source = AIM500Source(LAYOUT)
    assert len(source) == 5
    unknown_only = {"SO": {0, 128, 255}, "STM": {0, 128}, "NS": {128}}
    for index, label in enumerate(source.labels()):
        pictures = source.load(index, rng())
        assert {picture.shape[:2] for picture in pictures.values()} == {(360, 480)}
        assert set(np.unique(source.semantic_map(index)).tolist()) == unknown_only[label.type]
    assert sorted(label.type for label in source.labels()) == ["NS", "SO", "SO", "SO", "STM"]
