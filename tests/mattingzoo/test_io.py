"""Pictures of every format are read alike, damage is named, files are written whole."""

import logging
import pickle
import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mattingzoo.io import (
    BadFileError,
    image_size,
    odd_trimap_values,
    parse_trimap,
    read_gray,
    read_rgb,
    read_rgba,
    read_trimap,
    write_png,
)

ORIENTATION = 0x0112


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(np.iinfo(dtype).max + 1, size=shape, dtype=dtype)


def smooth(height: int = 24, width: int = 40) -> np.ndarray:
    """Colours that JPEG keeps within a few gray values."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 5, y * 8, x * 2 + y * 3], axis=-1).astype(np.uint8)


def write_deep(path: Path, picture: np.ndarray) -> Path:
    """A 16-bit PNG; colours are given as RGB(A)."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    stored = picture if picture.ndim == 2 else picture[..., order[picture.shape[2]]]
    path.write_bytes(cv2.imencode(".png", stored)[1].tobytes())
    return path


def png_chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


# formats


@pytest.mark.parametrize("ending", ["png", "PNG", "webp", "tif", "tiff"])
def test_lossless_rgb_is_read_exactly(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise(5, 7, 3)).save(path, lossless=True)  # which only WebP heeds
    np.testing.assert_array_equal(read_rgb(path), noise(5, 7, 3))


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_read_nearly(tmp_path: Path, progressive: bool) -> None:
    path = tmp_path / "a.jpeg"
    Image.fromarray(smooth()).save(path, quality=95, subsampling=0, progressive=progressive)
    assert np.abs(read_rgb(path).astype(int) - smooth()).max() <= 6


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(noise(5, 7)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), np.stack([noise(5, 7)] * 3, -1))


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(noise(5, 7) > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), (noise(5, 7) > 127) * 255)


def test_palette_is_resolved(tmp_path: Path) -> None:
    indexed = Image.fromarray(noise(5, 7) % 4).convert("P")
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    indexed.save(tmp_path / "a.png")
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]])
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), colours[noise(5, 7) % 4])
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), colours[noise(5, 7) % 4, 0])


@pytest.mark.parametrize("transparency", [1, bytes([0, 100, 255])])
def test_palette_transparency_is_alpha(tmp_path: Path, transparency: int | bytes) -> None:
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    indexed.save(tmp_path / "a.png", transparency=transparency)
    colours, alpha = read_rgba(tmp_path / "a.png")
    assert colours.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert alpha.tolist() == [[255, 0, 255] if transparency == 1 else [0, 100, 255]]
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), colours)


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    ink = np.tile(np.array([0, 255, 255, 0], np.uint8), (16, 16, 1))  # no cyan: red
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_rgb(tmp_path / "a.jpg").astype(int) - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_rgba_keeps_colour_under_alpha_zero(tmp_path: Path, ending: str) -> None:
    picture = noise(5, 7, 4)
    picture[0, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / f"a.{ending}", lossless=True, exact=True)
    colours, alpha = read_rgba(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(np.dstack([colours, alpha]), picture)
    np.testing.assert_array_equal(read_rgb(tmp_path / f"a.{ending}"), picture[..., :3])


def test_a_picture_without_alpha_is_no_cutout(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(5, 7, 3))
    with pytest.raises(BadFileError, match=r"a\.png: the picture has no alpha.*save it as RGBA"):
        read_rgba(tmp_path / "a.png")


def test_16_bits_are_rounded_not_cut(tmp_path: Path) -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    read = read_gray(write_deep(tmp_path / "a.png", every))
    np.testing.assert_array_equal(read, np.rint(every * (255 / 65535)))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colours_are_rounded_and_in_order(tmp_path: Path, channels: int) -> None:
    deep = noise(5, 7, channels, dtype=np.uint16)
    path = write_deep(tmp_path / "a.png", deep)
    expected = np.rint(deep * (255 / 65535))
    np.testing.assert_array_equal(read_rgb(path), expected[..., :3])
    if channels == 4:
        np.testing.assert_array_equal(read_rgba(path)[1], expected[..., 3])


def test_16_bit_gray_with_alpha(tmp_path: Path) -> None:
    deep = noise(5, 7, 2, dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", 7, 5, 16, 4, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)
    (tmp_path / "a.png").write_bytes(data)
    colours, alpha = read_rgba(tmp_path / "a.png")
    np.testing.assert_array_equal(colours[..., 0], np.rint(deep[..., 0] * (255 / 65535)))
    np.testing.assert_array_equal(alpha, np.rint(deep[..., 1] * (255 / 65535)))


def test_16_bit_gray_tiff(tmp_path: Path) -> None:
    Image.fromarray(noise(5, 7, dtype=np.uint16)).save(tmp_path / "a.tif")
    expected = np.rint(noise(5, 7, dtype=np.uint16) * (255 / 65535))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tif"), expected)


def test_16_bit_colour_tiff_is_refused_not_cut(tmp_path: Path) -> None:
    data = cv2.imencode(".tiff", noise(5, 7, 3, dtype=np.uint16))[1].tobytes()
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(BadFileError, match="save it as PNG"):
        read_rgb(tmp_path / "a.tif")


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((5, 7), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(BadFileError, match="mode 'F'"):
        read_gray(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["Bär 毛 (1).png", "a b\u00a0c.png", "…" * 40 + ".png"])
def test_any_file_name_is_read_and_written(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / name, noise(5, 7, 3))
    np.testing.assert_array_equal(read_rgb(tmp_path / name), noise(5, 7, 3))
    np.testing.assert_array_equal(
        read_rgb(write_deep(tmp_path / name, noise(5, 7, 3).astype(np.uint16) * 257)),
        noise(5, 7, 3),
    )


# mattes


def test_first_channel_of_unequal_channels_is_the_matte(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(5, 7, 3))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), noise(5, 7, 3)[..., 0])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_silhouette_keeps_its_matte_in_the_alpha_channel(tmp_path: Path, mode: str) -> None:
    gray = np.full((5, 7), 255, np.uint8)
    layers = [gray] * (len(mode) - 1) + [noise(5, 7)]
    Image.merge(mode, [Image.fromarray(layer) for layer in layers]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), noise(5, 7))


@pytest.mark.parametrize("alpha", [np.full((5, 7), 255, np.uint8), noise(5, 7)])
def test_colour_that_varies_is_the_matte_whatever_the_alpha(
    tmp_path: Path, alpha: np.ndarray
) -> None:
    gray = noise(5, 7)[::-1]
    write_png(tmp_path / "a.png", np.dstack([gray, gray, gray, alpha]))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), gray)


def test_a_constant_matte_with_constant_alpha_is_its_colour(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((5, 7, 4), (9, 9, 9, 255), np.uint8))
    assert np.unique(read_gray(tmp_path / "a.png")).tolist() == [9]


# EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_orientation_is_applied_as_pillow_does(
    tmp_path: Path, ending: str, orientation: int
) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(smooth()).save(path, exif=oriented(orientation))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_rgb(path), expected)
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_16_bits(tmp_path: Path, orientation: int) -> None:
    picture = smooth().astype(np.uint16) * 257
    data = write_deep(tmp_path / "a.png", picture).read_bytes()
    exif = png_chunk(b"eXIf", oriented(orientation).tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "a.png").write_bytes(data[:33] + exif + data[33:])  # 33: after the header chunk
    Image.fromarray(smooth()).save(tmp_path / "b.png", exif=oriented(orientation))
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), read_rgb(tmp_path / "b.png"))


def test_stored_pixels_are_to_be_had(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.png", exif=oriented(6))
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png", upright=False), smooth())
    assert image_size(tmp_path / "a.png", upright=False) == (24, 40)
    assert image_size(tmp_path / "a.png") == (40, 24)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_is_upright(tmp_path: Path, orientation: int) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.png", exif=oriented(orientation))
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), smooth())


# damage


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
def test_truncated_file_is_named(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"cut off.{ending}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BadFileError, match=r"cut off\.\w+: \d+ bytes, .* expected a readable"):
        read_rgb(path)


def test_truncated_16_bit_file_is_named(tmp_path: Path) -> None:
    path = write_deep(tmp_path / "deep.png", noise(64, 64, 3, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(BadFileError, match=r"deep\.png: 9000 bytes.*truncated"):
        read_rgb(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"GIF89a" + bytes(40), bytes(500)])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (read_rgb, read_rgba, read_gray, read_trimap, image_size):
        with pytest.raises(BadFileError, match=rf"a\.jpg: {len(content)} bytes"):
            read(tmp_path / "a.jpg")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"gone\.png: no such file; expected .*; check"):
        read_rgb(tmp_path / "gone.png")
    with pytest.raises(BadFileError, match="Error"):
        read_rgb(tmp_path)
    with pytest.raises(BadFileError, match=r"gone\.png: no such file"):
        image_size(tmp_path / "gone.png")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_decompression_bomb_is_not_opened(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(BadFileError, match=r"bomb\.png: .*DecompressionBomb.*a sane size"):
        read_rgb(tmp_path / "bomb.png")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF"]), st.data())
def test_damage_is_read_or_named_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    buffer = BytesIO()
    Image.fromarray(smooth()).save(buffer, kind, exif=oriented(6))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(content)
    for read in (read_rgb, read_gray):
        try:
            assert read(path).dtype == np.uint8
        except BadFileError as error:
            assert "damaged.png" in str(error)


def test_error_survives_the_way_out_of_a_worker() -> None:
    error = pickle.loads(pickle.dumps(BadFileError("a.png: torn")))
    assert isinstance(error, BadFileError)
    assert str(error) == "a.png: torn"


# trimaps


def test_every_gray_value_of_a_trimap() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    trimap, odd_count = parse_trimap(every)
    assert odd_count == 256 - 5
    assert trimap[0, 0] == 0
    assert trimap[-1, -1] == 255
    assert np.unique(trimap.ravel()[1:-1]).tolist() == [128]
    assert trimap.dtype == np.uint8


@pytest.mark.parametrize("unknown", [127, 128, 129])
def test_three_grays_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unknown: int
) -> None:
    write_png(tmp_path / "a.png", np.array([[0, unknown, 255]], np.uint8))
    assert read_trimap(tmp_path / "a.png").tolist() == [[0, 128, 255]]
    assert caplog.records == []


def test_odd_grays_are_told_once_and_taken_as_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_png(tmp_path / "odd.png", np.array([[0, 1, 254], [200, 1, 255]], np.uint8))
    with caplog.at_level(logging.WARNING):
        trimap = read_trimap(tmp_path / "odd.png")
    assert trimap.tolist() == [[0, 128, 128], [128, 128, 255]]
    assert len(caplog.records) == 1
    assert "odd.png: 4 of 6 pixels" in caplog.text
    assert "but 1, 200, 254; taken" in caplog.text


def test_odd_values_are_listed() -> None:
    assert odd_trimap_values(np.array([[0, 3, 128], [3, 250, 129]], np.uint8)) == [3, 250]
