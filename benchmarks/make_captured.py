"""Make captured pairs out of cut-outs and photographs, as a fixed camera would take them.

    python benchmarks/make_captured.py --cutouts DIR --out DIR --count 400 --size 256 --seed 0

DIR holds fg/ and bg/ with lists of splits, as `--data cutouts` reads them. What is written is read
by `--data captured`: train/ without truth, val/ and test/ (an eighth of it each) with alpha/. The
plate is the background behind the subject photographed again: moved by up to 2 pixels, at another
exposure, with noise of its own. No foreground and no background serves two splits. Finished pairs
are kept: stop and start it as you like.
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mattingzoo.cli.errors import guarded
from mattingzoo.datamodules import Cutouts
from mattingzoo.datamodules.cutouts import CutoutsSource
from mattingzoo.io import Picture, read_rgb, read_rgba, write_png
from mattingzoo.segmentation import draw, soften
from mattingzoo.source import Split

Floats = NDArray[np.float32]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SHIFT = 2.0  # pixels the camera moves at most, in both directions
EXPOSURE = 0.1  # largest relative change of brightness between picture and plate
NOISE = (1.0, 4.0)  # standard deviation of the sensor's noise in levels of 255
COVER = (0.5, 0.95)  # the subject's longer side as a share of the picture's
ENLARGE = 2.0  # beyond it a cut-out is but a blur


def make(cutouts: Path, out: Path, count: int, size: int, seed: int, progress: bool = True) -> int:
    """Write the pairs of all splits.

    Args:
        cutouts: Folder that holds ``fg`` and ``bg``.
        out: Folder to make.
        count: Training pairs; validation and test get an eighth of it each.
        size: Side of the pictures in pixels.
        seed: Seed of all draws; each pair is a function of it, its split and its number.
        progress: Show progress bars.

    Returns:
        How many pairs were written; the others were there.
    """
    if count < 1 or size < 16:
        raise ValueError(f"count must be at least 1 and size 16, got {count} and {size}")
    written = 0
    for order, split in enumerate(SPLITS):
        source = Cutouts(str(cutouts), per_foreground=1).make_source(split)
        assert isinstance(source, CutoutsSource)
        number = count if split == "train" else max(count // 8, 1)
        for i in track(range(number), split, disable=not progress):
            name = f"{source.foregrounds[i % len(source)].stem}_{i // len(source)}.png"
            target = out / split / "image" / name
            if target.exists():  # the picture is written last
                continue
            rng = np.random.default_rng([seed, order, i])
            pair = make_pair(source, i % len(source), size, rng)
            if split == "train":
                del pair["alpha"]
            for key in reversed(pair):
                (out / split / key).mkdir(parents=True, exist_ok=True)
                write_png(out / split / key / name, pair[key])
            written += 1
    return written


def make_pair(
    source: CutoutsSource, index: int, size: int, rng: np.random.Generator
) -> dict[str, Picture]:
    """One picture [size, size, 3], its plate, its segmentation and its matte, the picture first."""
    colours, alpha = _subject(*read_rgba(source.foregrounds[index]), size, rng)
    path = source.backgrounds[int(rng.integers(len(source.backgrounds)))]
    scene = _scene(read_rgb(path), size, rng)
    behind, again = _window(scene, np.zeros(2), size), _window(scene, _shift(rng), size)
    exposure = 1 + rng.uniform(-EXPOSURE, EXPOSURE)
    image = colours + (1 - alpha[..., None]) * behind
    matte = np.round(alpha * 255).astype(np.uint8)
    return {
        "image": _photograph(image, 1.0, rng),
        "captured_background": _photograph(again, exposure, rng),
        "segmentation": soften(matte, draw(rng)),
        "alpha": matte,
    }


def _subject(
    rgb: Picture, opacity: Picture, size: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Colours times alpha [size, size, 3] and alpha [size, size] of a subject somewhere in it."""
    alpha = opacity.astype(np.float32) / 255
    # Resampled under their alpha, for colours where it is 0 are arbitrary.
    layers = np.dstack([rgb.astype(np.float32) / 255 * alpha[..., None], alpha])
    longer = max(alpha.shape)
    scale = min(rng.uniform(*COVER) * size / longer, ENLARGE)
    rows, columns = (max(round(side * scale), 1) for side in alpha.shape)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    layers = cv2.resize(layers, (columns, rows), interpolation=interpolation)
    if rng.random() < 0.5:
        layers = layers[:, ::-1]
    placed = np.zeros((size, size, 4), np.float32)
    top, left = int(rng.integers(size - rows + 1)), int(rng.integers(size - columns + 1))
    placed[top : top + rows, left : left + columns] = layers
    return placed[..., :3], placed[..., 3].clip(0, 1)


def _scene(background: Picture, size: int, rng: np.random.Generator) -> Floats:
    """A piece of a photograph, larger than the picture by what the camera may move."""
    side = size + 2 * int(np.ceil(SHIFT)) + 2
    shorter = min(background.shape[:2])
    taken = int(rng.integers(min(side, shorter), shorter + 1))
    top, left = (int(rng.integers(extent - taken + 1)) for extent in background.shape[:2])
    piece = background[top : top + taken, left : left + taken].astype(np.float32) / 255
    interpolation = cv2.INTER_AREA if taken > side else cv2.INTER_CUBIC
    resized: Any = cv2.resize(piece, (side, side), interpolation=interpolation)
    return np.asarray(resized.clip(0, 1))


def _window(scene: Floats, shift: NDArray[Any], size: int) -> Floats:
    """The middle of a scene, moved by x and y, linearly between pixels."""
    margin = (len(scene) - size) / 2
    matrix = np.array([[1, 0, margin + shift[0]], [0, 1, margin + shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(scene, matrix, (size, size), flags=flags))


def _shift(rng: np.random.Generator) -> NDArray[Any]:
    return rng.uniform(-SHIFT, SHIFT, 2)


def _photograph(scene: Floats, exposure: float, rng: np.random.Generator) -> Picture:
    """8 bits of a scene, as a sensor with noise sees it."""
    noise = rng.uniform(*NOISE) * rng.standard_normal(scene.shape)
    return np.round(scene * exposure * 255 + noise).clip(0, 255).astype(np.uint8)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--cutouts", required=True, type=Path, help="folder with fg/ and bg/")
    p.add_argument("--out", required=True, type=Path, help="folder to make")
    p.add_argument("--count", type=int, default=400, help="training pairs (default: 400)")
    p.add_argument("--size", type=int, default=256, help="side in pixels (default: 256)")
    p.add_argument("--seed", type=int, default=0)
    return p


def main() -> None:
    """Make them; errors of use end with one sentence."""
    a = parser().parse_args()

    def run() -> None:
        written = make(a.cutouts, a.out, a.count, a.size, a.seed)
        print(f"{written} pairs written to {a.out}; read them with --data captured")

    guarded(run)


if __name__ == "__main__":
    main()
