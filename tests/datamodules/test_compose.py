"""The public composition, bit for bit, and a job that can be broken off."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mattingzoo.adobe import adobe_composite
from mattingzoo.datamodules._comp1k_layout import evaluation_half
from mattingzoo.datamodules.comp1k import compose
from mattingzoo.io import Picture, read_gray, read_rgb, write_png, write_text_atomic

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "comp1k_layout"


def noise(*shape: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def make_release(root: Path, foregrounds: int = 1) -> Path:
    """The test half with 9 x 6 foregrounds, and 20 backgrounds of two sizes."""
    half = root / "Test_set" / "Adobe-licensed images"
    voc = root / "VOCdevkit" / "VOC2012" / "JPEGImages"
    for folder in (half / "fg", half / "alpha", voc):
        folder.mkdir(parents=True)
    names = [f"cat {k} (1).png" for k in range(foregrounds)]
    for k, name in enumerate(names):
        write_png(half / "fg" / name, noise(6, 9, 3, seed=k))
        write_png(half / "alpha" / name, noise(6, 9, seed=100 + k))
    for i in range(20):
        write_png(voc / f"{i}.png", noise(*((4, 7, 3) if i % 2 else (8, 12, 3)), seed=200 + i))
    write_text_atomic(root / "Test_set" / "test_fg_names.txt", "\n".join(names))
    backgrounds = [f"{i}.png" for i in range(20)] * foregrounds
    write_text_atomic(root / "Test_set" / "test_bg_names.txt", "\n".join(backgrounds))
    return root


def outputs(root: Path) -> dict[str, bytes]:
    files = [*(root / "Test_set" / "merged").iterdir(), *(root / "Test_set" / "bg").iterdir()]
    return {f"{f.parent.name}/{f.name}": f.read_bytes() for f in files if f.suffix == ".png"}


def pixel_by_pixel(foreground: Picture, alpha: Picture, background: Picture) -> Picture:
    """The arithmetic of the release's script: Python numbers, one pixel after the other."""
    image = background.copy()
    for y, x in np.ndindex(alpha.shape):
        opacity = int(alpha[y, x]) / 255
        for c in range(3):
            f, b = int(foreground[y, x, c]), int(background[y, x, c])
            image[y, x, c] = int(opacity * f + (1 - opacity) * b)
    return image


def test_arithmetic_is_that_of_python_numbers() -> None:
    foreground, alpha, background = (
        noise(40, 50, 3),
        noise(40, 50, seed=1),
        noise(40, 50, 3, seed=2),
    )
    image, _ = adobe_composite(foreground, alpha, background)
    np.testing.assert_array_equal(image, pixel_by_pixel(foreground, alpha, background))


@pytest.mark.parametrize("size", [(4, 20), (20, 4), (5, 8)])
def test_small_background_is_enlarged_bicubic_and_cut_top_left(size: tuple[int, int]) -> None:
    background = noise(*size, 3)
    _, fitted = adobe_composite(noise(6, 9, 3), np.zeros((6, 9), np.uint8), background)
    ratio = max(6 / size[0], 9 / size[1])
    enlarged_size = (int(np.ceil(size[1] * ratio)), int(np.ceil(size[0] * ratio)))
    enlarged = Image.fromarray(background).resize(enlarged_size, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(fitted, np.asarray(enlarged)[:6, :9])


def test_large_background_keeps_its_size() -> None:
    background = noise(6, 100, 3)
    image, fitted = adobe_composite(noise(6, 9, 3), np.zeros((6, 9), np.uint8), background)
    np.testing.assert_array_equal(fitted, background[:, :9])
    np.testing.assert_array_equal(image, fitted)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/data/comp1k_layout")
def test_80_shipped_composites_are_reproduced_bit_for_bit() -> None:
    half = evaluation_half(SHARED)
    for i in range(80):
        image, fitted = adobe_composite(
            read_rgb(half.foreground(i), upright=False),
            read_gray(half.alpha(i), upright=False),
            read_rgb(half.background(i), upright=False),
        )
        np.testing.assert_array_equal(image, read_rgb(half.merged(i)), err_msg=half.name(i))
        np.testing.assert_array_equal(fitted, read_rgb(half.fitted(i)), err_msg=half.name(i))


def test_names_number_the_backgrounds_of_each_foreground(tmp_path: Path) -> None:
    root = make_release(tmp_path, foregrounds=2)
    report = compose(root, "test", workers=1, progress=False)
    assert (report.written, report.skipped, report.failures) == (40, 0, [])
    merged = {path.name for path in (root / "Test_set" / "merged").iterdir()}
    assert merged == {f"cat {k} (1)_{i}.png" for k in range(2) for i in range(20)}


def test_broken_off_job_is_finished_by_the_next(tmp_path: Path) -> None:
    root = make_release(tmp_path)
    compose(root, "test", workers=1, progress=False)
    whole = outputs(root)
    for lost in list(whole)[::3]:
        (root / "Test_set" / lost).unlink()
    kept = {name: (root / "Test_set" / name).stat().st_mtime_ns for name in outputs(root)}
    done = sum(f"merged/{Path(name).name}" in kept and name.startswith("bg/") for name in kept)
    left_over = root / "Test_set" / "merged" / ".0123456789abcdef.tmp"
    left_over.write_bytes(b"half a picture")
    os.utime(left_over, (0, 0))
    report = compose(root, "test", workers=1, progress=False)
    assert (report.written, report.skipped) == (20 - done, done)
    assert outputs(root) == whole
    assert not left_over.exists()
    again = compose(root, "test", workers=1, progress=False)
    assert (again.written, again.skipped) == (0, 20)


def test_young_temporary_file_may_be_another_jobs(tmp_path: Path) -> None:
    root = make_release(tmp_path)
    (root / "Test_set" / "merged").mkdir()
    partial = root / "Test_set" / "merged" / ".0123456789abcdef.tmp"
    partial.write_bytes(b"half a picture")
    compose(root, "test", workers=1, progress=False)
    assert partial.exists()


def test_one_bad_file_does_not_stop_the_job(tmp_path: Path) -> None:
    root = make_release(tmp_path)
    voc = root / "VOCdevkit" / "VOC2012" / "JPEGImages"
    (voc / "3.png").write_bytes(b"torn")
    (voc / "7.png").unlink()
    report = compose(root, "test", workers=1, progress=False)
    assert report.written == 18
    assert len(report.failures) == 2
    assert "cat 0 (1)_3: " in report.failures[0]
    assert "3.png: 4 bytes" in report.failures[0]
    assert "7.png: no such file" in report.failures[1]
    assert len(outputs(root)) == 36


def test_layers_of_differing_size_are_reported(tmp_path: Path) -> None:
    root = make_release(tmp_path, foregrounds=2)
    write_png(root / "Test_set" / "Adobe-licensed images" / "alpha" / "cat 1 (1).png", noise(6, 8))
    report = compose(root, "test", workers=1, progress=False)
    assert report.written == 20
    assert all("8 x 6 pixels; expected 9 x 6" in failure for failure in report.failures)


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    one, two = make_release(tmp_path / "one"), make_release(tmp_path / "two")
    (two / "VOCdevkit" / "VOC2012" / "JPEGImages" / "3.png").write_bytes(b"torn")
    compose(one, "test", workers=1, progress=False)
    report = compose(two, "test", workers=2, progress=False)
    assert (report.written, len(report.failures)) == (19, 1)
    expected = outputs(one)
    del expected["merged/cat 0 (1)_3.png"], expected["bg/cat 0 (1)_3.png"]
    assert outputs(two) == expected


def test_missing_backgrounds_are_told_before_any_work(tmp_path: Path) -> None:
    root = make_release(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"gone is not a folder.*pass their folder as voc"):
        compose(root, "test", voc=tmp_path / "gone", progress=False)
    assert not (root / "Test_set" / "merged").exists()


def test_list_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    root = make_release(tmp_path)
    write_text_atomic(root / "Test_set" / "test_bg_names.txt", "0.png\n1.png\n")
    with pytest.raises(ValueError, match=r"2 lines; expected 20, 20 for each of 1 foregrounds"):
        compose(root, "test", progress=False)
