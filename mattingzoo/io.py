"""Pictures and name lists from disk, and back without ever leaving half a file.

Everything is read to 8 bits. Whatever is wrong with a file, a :class:`BadFileError` names it.
"""

import logging
import os
import secrets
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PureWindowsPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]

#: Endings of readable pictures, in lower case; upper case is read too.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")  # nothing that starts a program, as EPS does
_ORIENTATION = 0x0112  # tag of EXIF and TIFF
_BITS_PER_SAMPLE = 258  # tag of TIFF
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


class BadFileError(ValueError):
    """A file is missing, damaged, or not what it should be.

    The message names the file, what was found, what was expected and what to do. It is the only
    argument, so the error survives the way out of a loader worker.
    """


def bad_file(path: Path, found: str, expected: str, remedy: str) -> BadFileError:
    """Word a :class:`BadFileError` so that no part of the message is forgotten."""
    return BadFileError(f"{path}: {found}; expected {expected}; {remedy}")


def read_rgb(path: Path, upright: bool = True) -> Picture:
    """Read the colours of a picture.

    Gray becomes three equal channels, palettes and CMYK become RGB, 16 bits are rounded to 8, and
    an alpha channel is left out, not applied.

    Args:
        path: PNG, JPEG, WebP or TIFF.
        upright: Turn the picture as its EXIF orientation says; False gives the stored pixels.

    Returns:
        [H, W, 3].

    Raises:
        BadFileError: If the file is missing, damaged or not a picture.
    """
    picture = _decode(path, upright)
    if picture.shape[2] == 1:
        picture = picture.repeat(3, axis=2)
    return np.ascontiguousarray(picture[..., :3])


def read_rgba(path: Path, upright: bool = True) -> tuple[Picture, Picture]:
    """Read a cut-out: its colours as stored [H, W, 3], and its alpha channel [H, W].

    Raises:
        BadFileError: As :func:`read_rgb`, and if the picture has no alpha channel.
    """
    picture = _decode(path, upright)
    if picture.shape[2] != 4:
        raise bad_file(
            path,
            "the picture has no alpha channel",
            "a cut-out, RGB with alpha",
            "save it as RGBA PNG, or put photographs into the folder of backgrounds",
        )
    return np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3])


def read_gray(path: Path, upright: bool = True) -> Picture:
    """Read a matte, mask or trimap [H, W].

    Of several channels the first is taken, as the field does, without asking whether they are
    equal. One exception: where the colour is one and the same everywhere and the alpha channel is
    not (a silhouette, as drawing programs save mattes), the alpha channel is the matte.

    Raises:
        BadFileError: As :func:`read_rgb`.
    """
    picture = _decode(path, upright)
    channel = 0
    if picture.shape[2] == 4:
        blank = bool((picture[..., :3] == picture[0, 0, :3]).all())
        channel = 3 if blank and np.ptp(picture[..., 3]) > 0 else 0
    return np.ascontiguousarray(picture[..., channel])


def read_trimap(path: Path, upright: bool = True) -> Picture:
    """Read a trimap [H, W] of 0, 128 and 255; one warning tells of any other value.

    Raises:
        BadFileError: As :func:`read_rgb`.
    """
    gray = read_gray(path, upright)
    trimap, odd_count = parse_trimap(gray)
    if odd_count:
        values = odd_trimap_values(gray)
        shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        log.warning(
            "%s: %d of %d pixels are neither 0, 128 (127, 129) nor 255 but %s; taken as unknown",
            path, odd_count, gray.size, shown,
        )  # fmt: skip
    return trimap


def parse_trimap(gray: Picture) -> tuple[Picture, int]:
    """Check a trimap instead of trusting it.

    Args:
        gray: [H, W]; 0 background, 255 foreground, 127 to 129 unknown.

    Returns:
        The trimap in {0, 128, 255}, and the number of pixels of any other value, which count as
        unknown: that asks more of a method, and never gives an answer away.
    """
    trimap = np.where((gray == 0) | (gray == 255), gray, np.uint8(128))
    known = (gray == 0) | (gray == 255) | (gray == 127) | (gray == 128) | (gray == 129)
    return trimap, int(gray.size - np.count_nonzero(known))


def odd_trimap_values(gray: Picture) -> list[int]:
    """Gray values that no trimap should hold, ascending."""
    return sorted(set(np.unique(gray).tolist()) - {0, 127, 128, 129, 255})


def image_size(path: Path, upright: bool = True) -> tuple[int, int]:
    """Height and width, from the header alone.

    Raises:
        BadFileError: If the file is missing or has no readable header; damage further on is found
            only by reading it.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if upright and _orientation(image, header_only=True) >= 5:
                return width, height
            return height, width
    except Exception as error:
        raise _unreadable(path, error) from error


def check_sizes(pictures: Mapping[str, NDArray[Any]], files: Mapping[str, Path]) -> None:
    """Refuse the pictures of one sample if they differ in height or width.

    Args:
        pictures: [H, W] or [H, W, 3] by key; the first is the one the others are compared with.
        files: Where each came from, by the same keys.

    Raises:
        BadFileError: Naming both files.
    """
    first, *others = pictures
    height, width = pictures[first].shape[:2]
    for key in others:
        rows, columns = pictures[key].shape[:2]
        if (rows, columns) != (height, width):
            raise bad_file(
                files[key],
                f"{columns} x {rows} pixels",
                f"{width} x {height} as its {first} {files[first]}",
                "take both from the same release",
            )


def list_images(folder: Path) -> list[Path]:
    """Pictures in a folder, sorted by name; hidden files and other files are left out.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; expected a folder of pictures")
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    return [
        folder / name
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
    ]


def read_names(path: Path) -> list[str]:
    """Read a list of file names, one to a line; LF or CRLF, the last line may lack its end.

    A list comes from elsewhere, so it may only name files inside the folder it is meant for.

    Raises:
        BadFileError: If the list is missing, not UTF-8, or a line is blank, a path, or ``..``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise bad_file(path, str(error), "a list of file names in UTF-8", "get it again") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    wrong = [f"{n} {line!r}" for n, line in enumerate(lines, start=1) if not _is_plain(line)]
    if wrong:
        raise bad_file(
            path,
            f"line {some(wrong)}",
            "plain file names, one to a line, without folders",
            "take the list from the original release",
        )
    return lines


def some(items: list[str], most: int = 10) -> str:
    """The first few items, and how many there are if there are more."""
    listed = ", ".join(items[:most])
    return listed if len(items) <= most else f"{listed}, ... ({len(items)} in all)"


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture [H, W], [H, W, 3] or [H, W, 4] as PNG, whole or not at all.

    Raises:
        ValueError: If the array is not an 8-bit picture.
    """
    shape = picture.shape
    if picture.dtype != np.uint8 or not (
        len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    ):
        raise ValueError(
            f"picture must be uint8 [H, W], [H, W, 3] or [H, W, 4], got {picture.dtype} {shape}; "
            "multiply floats in [0, 1] by 255 and round"
        )
    data = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(data, "PNG")
    _replace(path, data.getvalue())


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as ``.npy``, whole or not at all; its folder is made."""
    data = BytesIO()
    np.save(data, array, allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, data.getvalue())


def read_array(path: Path) -> NDArray[Any]:
    """Read what :func:`write_array` wrote.

    Raises:
        BadFileError: If the file is missing or damaged, or holds Python objects.
    """
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise bad_file(path, str(error), "an array written by mattingzoo", "remove it") from error
    return array


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file in UTF-8 with LF line ends, whole or not at all."""
    _replace(path, text.encode())


def _replace(path: Path, data: bytes) -> None:
    # Hidden, so that a list of pictures never shows it; short, so that any name may be written.
    partial = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name without content
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _is_plain(name: str) -> bool:
    # Windows' rules are the stricter ones: both slashes and drive letters are seen.
    return name not in ("", ".", "..") and "\0" not in name and PureWindowsPath(name).name == name


def _decode(path: Path, upright: bool) -> Picture:
    """Pixels [H, W, C]: gray, RGB or RGBA."""
    try:
        data = path.read_bytes()
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            image.load()  # complains of truncated files, which OpenCV does not
            picture = _pixels(image, data)
            return _turn(picture, _orientation(image)) if upright else picture
    # Decoders meet damage with anything from SyntaxError to struct.error.
    except Exception as error:
        raise _unreadable(path, error) from error


def _pixels(image: Image.Image, data: bytes) -> Picture:
    if image.format == "PNG" and data[24] == 16:  # byte 24 is the bit depth
        return _deep_png(data)
    if image.mode.startswith("I;16"):
        return _to_8_bits(np.asarray(image))[..., None]
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode!r}, neither 8 nor 16 bits")
    if image.format == "TIFF" and max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))) > 8:  # type: ignore[attr-defined]
        raise ValueError("colour TIFF of more than 8 bits; save it as PNG")
    if image.mode in _WITH_ALPHA or (image.mode == "P" and "transparency" in image.info):
        return np.asarray(image.convert("RGBA"))
    picture = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return picture[..., None] if picture.ndim == 2 else picture


def _deep_png(data: bytes) -> Picture:
    # Pillow keeps only the upper 8 bits of 16-bit colours, without rounding.
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError("not decoded by OpenCV")
    if picture.ndim == 2:
        return _to_8_bits(picture)[..., None]
    order = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return _to_8_bits(cv2.cvtColor(picture, order))


def _to_8_bits(picture: NDArray[Any]) -> Picture:
    """Divide by 257 = 65535 / 255 and round; there are no ties, 257 is odd."""
    return ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _orientation(image: Image.Image, header_only: bool = False) -> int:
    """EXIF orientation, 1 to 8; 1 is upright."""
    if image.format == "TIFF":
        return 1  # Pillow has already turned it
    if header_only and image.format == "PNG" and "exif" not in image.info:
        return 1  # else Pillow would decode the picture to see whether EXIF follows it
    orientation = image.getexif().get(_ORIENTATION)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _turn(picture: Picture, orientation: int) -> Picture:
    """Undo the camera's orientation: 5 to 8 swap the axes, the others only flip."""
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return picture


def _unreadable(path: Path, error: Exception) -> BadFileError:
    expected = "a readable PNG, JPEG, WebP or TIFF picture"
    if isinstance(error, FileNotFoundError):
        return bad_file(path, "no such file", expected, "check the folder and the name")
    found = f"{type(error).__name__}: {error}"
    if isinstance(error, UnidentifiedImageError):
        found = "not recognised as a picture"  # Pillow's own words name a buffer, not the file
    if path.is_file():
        found = f"{path.stat().st_size} bytes, {found}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return bad_file(path, found, "a picture of a sane size", "make it smaller, or remove it")
    return bad_file(path, found, expected, "download or export it again, or remove it")
