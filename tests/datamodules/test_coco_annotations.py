"""COCO's polygons and run lengths, and annotation files that are not what they should be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mattingzoo.datamodules._coco_annotations import decode, open_annotations
from mattingzoo.datamodules._coco_fusion import Mask
from mattingzoo.io import BadFileError, write_png

# Made with pycocotools 2.0.11: an ellipse less a disc, 60 x 80.
PACKED = (
    "Yg0;_14M2N2M4N0O2N2N2O0O2O0O2O0O2O0O2O00000O2O0000000000000000000000VO^O:b0DB:>ED:<EF::FF::EH:8"
    "FH:9EG::GD:<FD:<GB:?F_O:b0HZO:g0<101N101N101N2N2N102L3N2N3LU`0"
)


def ring() -> Mask:
    y, x = np.mgrid[:60, :80]
    return ((y - 30) ** 2 / 400 + (x - 41) ** 2 / 900 < 1) & ~((x - 50) ** 2 + (y - 25) ** 2 < 40)


def pack(counts: list[int]) -> str:
    """COCO's string of run lengths, written from its description."""
    text = ""
    for k, count in enumerate(counts):
        value = count - counts[k - 2] if k > 2 else count
        while True:
            digit, value = value & 31, value >> 5
            done = value == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if done else 32))
            if done:
                break
    return text


def runs(mask: Mask) -> list[int]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    lengths = np.diff([0, *edges, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def test_packed_run_lengths_equal_pycocotools() -> None:
    mask = decode({"size": [60, 80], "counts": PACKED}, 60, 80)
    np.testing.assert_array_equal(mask, ring())


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**16))
def test_run_lengths_round_trip(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    size = [height, width]
    for counts in (runs(mask), pack(runs(mask))):
        np.testing.assert_array_equal(decode({"size": size, "counts": counts}, *size), mask)


def test_columns_come_first() -> None:
    mask = decode({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def test_polygon_takes_the_pixels_whose_centres_it_holds() -> None:
    mask = decode([[2, 1, 5, 1, 5, 3, 2, 3]], 5, 7)
    assert np.argwhere(mask).tolist() == [[y, x] for y in (1, 2) for x in (2, 3, 4)]
    half = decode([[2.4, 0.6, 5.4, 0.6, 5.4, 2.6, 2.4, 2.6]], 5, 7)
    assert np.argwhere(half).tolist() == [[y, x] for y in (1, 2) for x in (2, 3, 4)]


def test_polygon_equals_a_test_of_every_centre() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        angles = np.sort(rng.random(9)) * 2 * np.pi
        radii = rng.uniform(4, 14, 9)
        points = np.stack([15 + radii * np.cos(angles), 12 + radii * np.sin(angles)], axis=1)
        expected = [[_inside(points, x + 0.5, y + 0.5) for x in range(30)] for y in range(25)]
        np.testing.assert_array_equal(decode([points.ravel().tolist()], 25, 30), expected)


def _inside(points: Any, x: float, y: float) -> bool:
    """By the winding number, for polygons that do not cross themselves."""
    relative = points - [x, y]
    angles = np.arctan2(relative[:, 1], relative[:, 0])
    turns = (np.diff(angles, append=angles[0]) + np.pi) % (2 * np.pi) - np.pi
    return bool(abs(turns.sum()) > np.pi)


def test_polygons_of_one_annotation_are_united() -> None:
    square, other = [0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 6, 2, 6, 6, 2, 6]
    both = decode([square, other], 8, 8)
    np.testing.assert_array_equal(both, decode([square], 8, 8) | decode([other], 8, 8))


def test_polygon_is_cut_off_by_the_border() -> None:
    assert decode([[-5, -5, 50, -5, 50, 50, -5, 50]], 6, 9).all()
    assert not decode([[20, 20, 30, 20, 30, 30]], 6, 9).any()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "segmentation is NoneType"),
        ({"counts": "0"}, r"size None is not the image's \[4, 5\]"),
        ({"size": [5, 4], "counts": [20]}, r"size \[5, 4\] is not the image's \[4, 5\]"),
        ({"size": [4, 5], "counts": [19]}, "do not add up to 4 x 5"),
        ({"size": [4, 5], "counts": [-1, 21]}, "do not add up"),
        ({"size": [4, 5], "counts": [20.0]}, "do not add up"),
        ({"size": [4, 5], "counts": None}, "do not add up"),
        ({"size": [4, 5], "counts": "\x01"}, "packed run lengths are damaged"),
        ({"size": [4, 5], "counts": "o" * 50}, "packed run lengths are damaged"),
        ({"size": [4, 5], "counts": "oo"}, "packed run lengths break off"),
        ([[0, 0, 1]], "not a list of x, y"),
        ([["a", 0, 1, 1]], "not a list of x, y"),
        ([[0, 0, float("nan"), 1, 1, 1]], "corners that are no numbers"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(segmentation, 4, 5)


# files


def instances(tmp_path: Path, **changes: Any) -> Path:
    annotation = {"id": 7, "image_id": 3, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]}
    crowd = {"size": [8, 10], "counts": [80]}
    content = {
        "images": [{"id": 3, "height": 8, "width": 10}, {"id": 2, "height": 4, "width": 4}],
        "annotations": [
            annotation,
            {"id": 8, "image_id": 3, "category_id": 18, "iscrowd": 1, "segmentation": crowd},
        ],
        **changes,
    }
    path = tmp_path / "instances_train2017.json"
    path.write_text(json.dumps(content))
    return path


def panoptic(tmp_path: Path, **changes: Any) -> Path:
    (tmp_path / "panoptic_train2017").mkdir(exist_ok=True)
    ids = np.zeros((4, 5, 3), np.uint8)
    ids[:2] = (1, 2, 3)  # 1 + 2 x 256 + 3 x 65536 = 197121
    ids[2:] = (9, 0, 0)
    write_png(tmp_path / "panoptic_train2017" / "000000000003.png", ids)
    infos = [
        {"id": 197121, "category_id": 1, "area": None},
        {"id": 9, "category_id": 32, "iscrowd": 1},
        {"id": 5, "category_id": 32},
    ]
    entry = {"image_id": 3, "file_name": "000000000003.png", "segments_info": infos, **changes}
    path = tmp_path / "panoptic_train2017.json"
    path.write_text(json.dumps({"annotations": [entry]}))
    return path


def test_instances_are_found_by_image(tmp_path: Path) -> None:
    annotations = open_annotations(instances(tmp_path))
    assert annotations.ids == [2, 3]
    assert annotations.kinds(3) == [(1, False), (18, True)]
    assert annotations.kinds(2) == []
    (person,) = annotations.segments(3, {1})
    assert person.mask.shape == (8, 10)
    assert person.mask.sum() == 6  # centres on the diagonal lie on the edge, not inside


def test_panoptic_colours_are_segment_ids(tmp_path: Path) -> None:
    annotations = open_annotations(panoptic(tmp_path))
    assert annotations.ids == [3]
    assert annotations.kinds(3) == [(1, False), (32, True), (32, False)]
    person, tie, nothing = annotations.segments(3, {1, 32})
    assert person.mask.tolist() == [[True] * 5] * 2 + [[False] * 5] * 2
    assert tie.crowd
    assert tie.mask.sum() == 10
    assert nothing.mask.sum() == 0


def test_folder_of_pngs_may_lie_elsewhere(tmp_path: Path) -> None:
    path = panoptic(tmp_path)
    (tmp_path / "panoptic_train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"panoptic_train2017 is not a folder.*elsewhere/"):
        open_annotations(path)
    assert len(open_annotations(path, tmp_path / "elsewhere").segments(3, {1})) == 1


def test_damaged_mask_names_its_annotation(tmp_path: Path) -> None:
    broken = {"id": 7, "image_id": 3, "category_id": 1, "segmentation": {"counts": []}}
    annotations = open_annotations(instances(tmp_path, annotations=[broken]))
    with pytest.raises(BadFileError, match=r"instances_train2017\.json: annotation 7 of image 3: "):
        annotations.segments(3, {1})


@pytest.mark.parametrize("name", ["../3.png", "/etc/3.png", "a/3.png", "..\\3.png", "3.png\n", ""])
def test_png_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadFileError, match="annotation 0: file_name"):
        open_annotations(panoptic(tmp_path, file_name=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "images is not a list"),
        ({"images": [{"id": 3, "height": 0, "width": 9}]}, "image 0: 9 x 0"),
        ({"images": [{"id": 3, "height": -9, "width": -9}]}, "image 0: -9 x -9"),
        ({"images": [{"id": 3, "height": 10**6, "width": 10**6}]}, "image 0: 1000000 x 1000000"),
        ({"images": [{"id": "3", "height": 8, "width": 9}]}, "image 0: id is '3'"),
        ({"images": [{"id": 10**12, "height": 8, "width": 9}]}, "id is 1000000000000"),
        ({"images": [{"id": -1, "height": 8, "width": 9}]}, "id is -1"),
        ({"images": [{"id": 1, "height": 8, "width": 9}]}, "annotation 0 is of image 3"),
        ({"annotations": [{"image_id": 3}]}, "annotation 0: category_id is None"),
        ({"annotations": [{}, 3]}, "annotations is not a list of objects"),
        ({"annotations": []}, "no list of annotations"),
    ],
)
def test_files_of_another_kind_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadFileError, match=message):
        open_annotations(instances(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"a\.json: .*expected"):
        open_annotations(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"none\.json: .*No such file"):
        open_annotations(tmp_path / "none.json")


def test_one_image_twice_is_refused(tmp_path: Path) -> None:
    path = panoptic(tmp_path)
    entries = json.loads(path.read_text())["annotations"]
    path.write_text(json.dumps({"annotations": entries * 2}))
    with pytest.raises(BadFileError, match="occurs twice"):
        open_annotations(path)
