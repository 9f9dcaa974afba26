"""Draw the pictures of the README: what a model makes of the built-in test set.

    python benchmarks/gallery.py --model dim --out docs

Writes gallery.png (image, trimap, prediction, truth, cut-out on a new background) and
synthetic.png (a contact sheet of the built-in material).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from mattingzoo.batch import Batch
from mattingzoo.cli.load import load_model
from mattingzoo.datamodules import Synthetic
from mattingzoo.inference import cut_out
from mattingzoo.io import write_png
from mattingzoo.module import MattingModule
from mattingzoo.pictures import Picture, colourful, resize, to_bytes
from mattingzoo.procedural import contact_sheet, render_background

TITLES = ("image", "trimap", "prediction", "ground truth", "new background")
SIDE = 200


def row(module: MattingModule, batch: Batch, index: int) -> Picture:
    """One picture and what the model makes of it, [SIDE, W, 3]."""
    matte = to_bytes(module.matte(batch)[0])
    image = to_bytes(batch["image"][0])
    cutout = cut_out(image, matte)
    alpha = cutout[..., 3:] / 255
    new = render_background(7, index, image.shape[0])
    placed = (cutout[..., :3] * alpha + new * (1 - alpha)).round().astype(np.uint8)
    shown = [image, to_bytes(batch["trimap"][0]), matte, to_bytes(batch["alpha"][0]), placed]
    return np.concatenate([resize(colourful(picture), SIDE) for picture in shown], axis=1)


def header(width: int) -> Picture:
    """The titles above the columns."""
    strip = np.full((26, width, 3), 255, np.uint8)
    for i, title in enumerate(TITLES):
        place = (i * width // len(TITLES) + 6, 18)
        cv2.putText(
            strip, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA
        )
    return strip


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="dim")
    parser.add_argument("--weights", help="default: those that ship with the model")
    parser.add_argument("--pictures", default="1,5,7,16,24", help="numbers of test pictures")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    module = load_model(arguments.model, arguments.weights).module
    data = Synthetic(num_workers=0)
    chosen = {int(number) for number in arguments.pictures.split(",")}
    rows = []
    with torch.inference_mode():
        for i, batch in enumerate(data.test_dataloader()):
            if i in chosen and batch is not None:
                rows.append(row(module, data.prepare(batch, module.inputs), i))
    if not rows:
        raise SystemExit(f"there is no test picture {arguments.pictures}; they count from 0 to 49")
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_png(arguments.out / "gallery.png", np.concatenate([header(rows[0].shape[1]), *rows]))
    write_png(arguments.out / "synthetic.png", contact_sheet(1_000_002, range(12), 160))


if __name__ == "__main__":
    main()
