"""Building a set from annotations: what is written, what is left out, and going on later."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattingzoo.cli import main
from mattingzoo.datamodules import CocoMatting
from mattingzoo.datamodules._coco_build import BuildSettings, build
from mattingzoo.datamodules._coco_fusion import FusionSettings, Mask, overlap
from mattingzoo.datamodules._coco_layout import PAIRS
from mattingzoo.datamodules._coco_report import STEPS
from mattingzoo.io import BadFileError, Picture, read_gray, write_png

PERSON, TIE, HANDBAG, BAT, DOG = 1, 32, 31, 39, 18
HEIGHT, WIDTH = 90, 120

#: Segments of each image: category and left, top, right, bottom.
IMAGES: dict[int, list[tuple[int, tuple[int, int, int, int]]]] = {
    30: [
        (PERSON, (10, 10, 40, 80)),
        (HANDBAG, (40, 30, 50, 45)),
        (PERSON, (70, 10, 100, 80)),
        (TIE, (80, 20, 90, 50)),
        (HANDBAG, (100, 30, 110, 65)),
    ],
    525: [(PERSON, (10, 10, 40, 80)), (DOG, (60, 40, 100, 80))],
    1012: [(PERSON, (20, 10, 60, 80)), (BAT, (60, 20, 65, 60)), (TIE, (100, 20, 105, 30))],
    1020: [(DOG, (10, 10, 40, 80))],
}
NAMES = [
    "000000000030_handbag_00",
    "000000000030_tie_handbag_01",
    "000000001012_baseball bat_00",
]


def rectangle(left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def drawn(image_id: int) -> list[tuple[int, Mask]]:
    """Categories and disjoint masks: a later segment lies over an earlier one."""
    label = np.zeros((HEIGHT, WIDTH), int)
    for k, (_, corners) in enumerate(IMAGES[image_id], start=1):
        label[rectangle(*corners)] = k
    return [(kind, label == k) for k, (kind, _) in enumerate(IMAGES[image_id], start=1)]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Photographs in both folders, annotations in both formats."""
    root = tmp_path / "coco"
    rng = np.random.default_rng(0)
    for folder in ("train2017", "unlabeled2017", "annotations/panoptic_train2017"):
        (root / folder).mkdir(parents=True)
    entries, panoptic, images = [], [], []
    for image_id in IMAGES:
        folder = "unlabeled2017" if image_id == 1012 else "train2017"
        photo = rng.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_png(root / folder / f"{image_id:012d}.png", photo)
        segments = drawn(image_id)
        images.append({"id": image_id, "height": HEIGHT, "width": WIDTH})
        drawing = sum(
            (np.multiply.outer(mask, [k, 1, 0]) for k, (_, mask) in enumerate(segments, start=1)),
            start=np.zeros((HEIGHT, WIDTH, 3), int),
        )
        name = f"{image_id:012d}.png"
        write_png(root / "annotations" / "panoptic_train2017" / name, np.asarray(drawing, np.uint8))
        infos = [{"id": k + 256, "category_id": kind} for k, (kind, _) in enumerate(segments, 1)]
        panoptic.append({"image_id": image_id, "file_name": name, "segments_info": infos})
        for k, (kind, mask) in enumerate(segments):
            flat = np.concatenate([[False], mask.T.ravel()])
            counts = np.diff([0, *np.flatnonzero(np.diff(flat.astype(int))), mask.size]).tolist()
            rle = {"size": [HEIGHT, WIDTH], "counts": counts}
            entries.append(
                {"id": k, "image_id": image_id, "category_id": kind, "segmentation": rle}
            )
    content = {"images": images, "annotations": entries}
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    content = {"annotations": panoptic}
    (root / "annotations" / "panoptic_train2017.json").write_text(json.dumps(content))
    return root


class Network:
    """Stands in for a matting network: 200 everywhere; may break down at a call."""

    def __init__(self, break_at: int = 0, value: int = 200) -> None:
        self.break_at, self.value = break_at, value
        self.calls = 0

    def __call__(self, image: Picture, trimap: Picture) -> Picture:
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert set(np.unique(trimap)) <= {0, 128, 255}
        self.calls += 1
        if self.calls == self.break_at:
            raise KeyboardInterrupt
        return np.full_like(trimap, self.value)


def make(coco: Path, out: Path, network: Any = None, kind: str = "panoptic", **more: Any) -> Any:
    settings = more.pop("settings", BuildSettings())
    file = coco / "annotations" / f"{kind}_train2017.json"
    network = network or Network()
    return build(file, out, coco, network, {"model": "fake"}, settings, progress=False, **more)


def written(out: Path) -> list[str]:
    return sorted(path.stem for path in (out / PAIRS).glob("*.png"))


@pytest.mark.parametrize("kind", ["panoptic", "instances"])
def test_persons_with_accessories_are_written(coco: Path, tmp_path: Path, kind: str) -> None:
    report = make(coco, tmp_path / "out", kind=kind)
    assert written(tmp_path / "out") == NAMES
    assert report.failures == []
    assert report.finished


def test_both_formats_give_the_same_files(coco: Path, tmp_path: Path) -> None:
    for kind in ("panoptic", "instances"):
        make(coco, tmp_path / kind, kind=kind)
    for name in NAMES:
        first, second = ((tmp_path / k / PAIRS / f"{name}.png") for k in ("panoptic", "instances"))
        assert first.read_bytes() == second.read_bytes()


def test_result_is_read_by_the_data_set(coco: Path, tmp_path: Path) -> None:
    make(coco, tmp_path / "out")
    data = CocoMatting(str(tmp_path / "out"), coco=str(coco), val_share=0)
    source = data.make_source("train")
    assert list(source.names) == NAMES
    pictures = source.load(1, np.random.default_rng(0))
    segments = drawn(30)
    mask = segments[2][1] | segments[3][1] | segments[4][1]
    trimap, alpha = pictures["trimap"], pictures["alpha"]
    assert np.unique(trimap).tolist() == [0, 128, 255]
    assert (alpha[trimap == 255] == 255).all()
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 128] == 200).all()
    assert mask[trimap == 255].all()
    assert not mask[trimap == 0].any()
    assert overlap(alpha > 127, mask) > 0.8


def test_report_accounts_for_everything(coco: Path, tmp_path: Path) -> None:
    report = make(coco, tmp_path / "out")
    counts = report.counts
    assert counts["images"] == 4
    assert counts["images_without_person"] == 1
    assert counts["images_without_accessory"] == 1
    assert (counts["persons"], counts["mattes"], counts["persons_alone"]) == (3, 3, 0)
    assert (counts["accessories"], counts["accessories_fused"]) == (5, 4)
    assert counts["accessories_apart"] == 1
    assert counts["written"] == 3
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored["counts"] == {key: counts[key] for key in STEPS}
    assert stored["finished"] is True
    assert stored["settings"]["model"] == "fake"
    assert stored["settings"]["fusion"]["tau"] == 0.8
    assert ("written", "3") in report.rows()


def test_broken_off_build_goes_on(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(coco, out, Network(break_at=2))
    assert written(out) == NAMES[:1]
    assert json.loads((out / "report.json").read_text())["finished"] is False
    before = (out / PAIRS / f"{NAMES[0]}.png").stat().st_mtime_ns
    network = Network()
    report = make(coco, out, network)
    assert network.calls == 2
    assert written(out) == NAMES
    assert (report.counts["kept"], report.counts["written"]) == (1, 2)
    assert (out / PAIRS / f"{NAMES[0]}.png").stat().st_mtime_ns == before
    make(coco, tmp_path / "at once")
    for name in NAMES:
        files = [folder / PAIRS / f"{name}.png" for folder in (out, tmp_path / "at once")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_finished_build_asks_the_network_for_nothing(coco: Path, tmp_path: Path) -> None:
    make(coco, tmp_path / "out")
    network = Network()
    assert make(coco, tmp_path / "out", network).counts["kept"] == 3
    assert network.calls == 0


def test_other_settings_need_another_folder(coco: Path, tmp_path: Path) -> None:
    make(coco, tmp_path / "out")
    with pytest.raises(ValueError, match=r"begun with other settings: eta was 12; choose another"):
        make(coco, tmp_path / "out", settings=BuildSettings(eta=7))
    (tmp_path / "out" / "report.json").write_text("{}")
    with pytest.raises(BadFileError, match=r"report\.json: not the report of a build"):
        make(coco, tmp_path / "out")


def test_filters_are_off_and_leave_gaps_when_on(coco: Path, tmp_path: Path) -> None:
    small = make(coco, tmp_path / "small", settings=BuildSettings(min_area=2300))
    assert written(tmp_path / "small") == NAMES[1:]  # number 00 of the first image is missing
    assert small.counts["small"] == 1
    narrow = BuildSettings(need_foreground=True, smallest_kernel=32)
    made = make(coco, tmp_path / "narrow", settings=narrow)
    assert written(tmp_path / "narrow") == NAMES[1:]
    assert made.counts["no_foreground"] == 1
    strict = BuildSettings(min_agreement=0.9)
    nothing = make(coco, tmp_path / "strict", Network(value=0), settings=strict)
    assert nothing.counts["disagreeing"] == 3
    assert written(tmp_path / "strict") == []


def test_bad_photographs_cost_their_own_image_only(coco: Path, tmp_path: Path) -> None:
    (coco / "unlabeled2017" / "000000001012.png").unlink()
    photo = np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)
    write_png(coco / "train2017" / "000000000030.png", photo)
    report = make(coco, tmp_path / "out")
    assert report.counts["failed"] == 2
    wrong_size, missing = report.failures
    assert "000000000030.png: 121 x 90 pixels; expected 120 x 90 as annotated" in wrong_size
    assert "000000001012.jpg: no such photograph" in missing
    assert written(tmp_path / "out") == []


def test_network_of_another_size_is_refused(coco: Path, tmp_path: Path) -> None:
    def half(image: Picture, trimap: Picture) -> Picture:
        return trimap[::2]

    with pytest.raises(ValueError, match=r"matte must give uint8 \(90, 120\), gave uint8 \(45, "):
        make(coco, tmp_path / "out", half)


def test_limit_takes_the_first_images_and_may_be_raised(coco: Path, tmp_path: Path) -> None:
    assert make(coco, tmp_path / "out", limit=2).counts["written"] == 2
    report = make(coco, tmp_path / "out")
    assert (report.counts["kept"], report.counts["written"]) == (2, 1)


def test_names_are_compared_with_a_list(coco: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(
        "COCO/train2017/000000000030.jpg\talpha/000000000030_handbag_tie_00.png\n"  # other order
        "alpha/000000000030_kite_01.png\n"
        "alpha/000000000999_kite_00.png\n"  # an image without annotations
        "alpha/000000000525_tie_00.png\n"
    )
    report = make(coco, tmp_path / "out", compare=listed)
    values = {text.removeprefix("compared: "): v for text, v in report.comparison.items()}
    assert values == {
        "mattes in the list": 3,
        "images in the list": 2,
        "mattes found": 3,
        "images found": 2,
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 3),
    }
    listed.write_text("cat.png")
    with pytest.raises(BadFileError, match=r"cat\.png: not the name of a matte"):
        make(coco, tmp_path / "other", compare=listed)


def test_fusion_alone_needs_no_photographs(coco: Path, tmp_path: Path) -> None:
    file = coco / "annotations" / "panoptic_train2017.json"
    report = build(file, tmp_path / "out", None, None, {}, progress=False)
    assert report.counts["mattes"] == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["fusion.json"]
    with pytest.raises(ValueError, match="both photographs and a network, coco is not given"):
        build(file, tmp_path / "out", None, Network(), {}, progress=False)


def test_rule_is_passed_on(coco: Path, tmp_path: Path) -> None:
    boxes = BuildSettings(FusionSettings(rule="box"))
    make(coco, tmp_path / "out", settings=boxes)
    assert written(tmp_path / "out") == ["000000000030_tie_00"]  # bag and bat lie outside


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eta": 0}, "eta must be positive, got 0"),
        ({"smallest_kernel": 0}, "smallest_kernel must be at least 1"),
        ({"largest_kernel": 3}, "at most largest_kernel, got 4 and 3"),
        ({"min_agreement": 1.5}, r"min_agreement must lie in \[0, 1\], got 1.5"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BuildSettings(**changes)


# the command


def arguments(coco: Path, out: Path) -> list[str]:
    annotations = coco / "annotations" / "panoptic_train2017.json"
    return ["data", "build", "coco-matting", "--annotations", str(annotations), "--out", str(out)]


def test_command_builds_with_a_model_of_the_zoo(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    more = ["--coco", str(coco), "--matting-model", "trimap", "--device", "cpu"]
    main([*arguments(coco, out), *more])
    shown = capsys.readouterr().out
    assert "left out: touch nobody" in shown
    assert written(out) == NAMES
    pair = read_gray(out / PAIRS / f"{NAMES[0]}.png")
    trimap, alpha = pair[:, :WIDTH], pair[:, WIDTH:]
    np.testing.assert_array_equal(alpha, trimap)  # the baseline leaves the unknown at one half
    settings = json.loads((out / "report.json").read_text())["settings"]
    assert settings["matting_model"] == "trimap"


def test_command_counts_the_fusion_without_a_model(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*arguments(coco, tmp_path / "out"), "--rule", "box"])
    assert "persons with accessories" in capsys.readouterr().out
    assert not (tmp_path / "out" / PAIRS).exists()


def test_command_names_what_failed(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (coco / "unlabeled2017" / "000000001012.png").write_bytes(b"")
    more = ["--coco", str(coco), "--matting-model", "trimap", "--device", "cpu"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments(coco, tmp_path / "out"), *more])
    assert stop.value.code == 1
    assert "000000001012.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--matting-model", "trimap"], "give their folder with --coco"),
        (["--rule", "d"], "rule must be one of contact, box, boundary, got 'd'"),
        (["--matting-model", "nobody", "--coco", "."], "there is no model 'nobody'"),
    ],
)
def test_mistakes_of_use_end_with_a_sentence(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*arguments(coco, tmp_path / "out"), *more])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
