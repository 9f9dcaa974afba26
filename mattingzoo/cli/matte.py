"""`mattingzoo matte`: mattes of one's own pictures."""

import argparse
import re
from pathlib import Path
from typing import Any

from mattingzoo.cli import video
from mattingzoo.cli.backgrounds import add_backgrounds, check_backgrounds, predict
from mattingzoo.cli.prompts import add_prompts, check_prompts, prompt_tensors

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def register(commands: Any) -> None:
    """Add the command."""
    p = commands.add_parser(
        "matte",
        help="cut the subject out of a picture or a clip",
        description="Predict the alpha matte of pictures or of a clip, and cut their subjects out.",
    )
    p.add_argument("images", nargs="+", type=Path, help="pictures, one folder of them, or a video")
    p.add_argument("--trimap", type=Path, help="trimap, or a folder with one of the same name each")
    p.add_argument(
        "--model",
        help="name of the model; default: that of --weights, or one that reads what you give, "
        "gfm for a picture alone, dim with --trimap, semat with --box or --point, "
        "background_matting with --background",
    )
    p.add_argument("--weights", help="weight file; default: those that ship with the model")
    p.add_argument("-o", "--out", type=Path, help="matte to write, or a folder for several")
    p.add_argument("--cutout", type=Path, help="RGBA cut-out to write, or a folder for several")
    p.add_argument(
        "--extras", action="store_true",
        help="also write what else the model gives, such as NAME_adapted_trimap.png, next to the "
        "matte",
    )  # fmt: skip
    add_prompts(p)
    add_backgrounds(p)
    video.add_clips(p)
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    p.add_argument("--precision", default="32-true", choices=PRECISIONS)
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Matte every picture; one bad file is reported at the end and does not stop the others."""
    from mattingzoo.cli.errors import make_fabric
    from mattingzoo.cli.load import load_model
    from mattingzoo.io import list_images

    if arguments.model is None:
        arguments.model = default_model(arguments)
    images: list[Path] = arguments.images
    clip = video.is_clip(arguments)
    several = not clip and (len(images) > 1 or images[0].is_dir())
    if several and images[0].is_dir():
        images = _own_pictures(list_images(images[0]), images[0])
    _check_targets(images, arguments, several)
    fabric = make_fabric(arguments.device, arguments.precision)
    module = load_model(arguments.model, arguments.weights).module.to(fabric.device)
    check_backgrounds(arguments, module)
    if clip:
        video.run(arguments, module, fabric)
        return
    if arguments.extras and not module.extras:
        raise ValueError(f"{arguments.model} gives nothing besides its matte; leave out --extras")
    check_prompts(arguments, module, several)
    failures = []
    for image in _progress(images):
        try:
            _matte_one(image, module, fabric, arguments, several)
        except (ValueError, OSError) as error:
            failures.append(str(error))
    if failures:
        raise ValueError(
            f"{len(failures)} of {len(images)} pictures failed:\n" + "\n".join(failures)
        )


def default_model(arguments: argparse.Namespace) -> str:
    """The model of the weights, if they say; else one for what is told about the subject."""
    from mattingzoo.cli.load import described_model
    from mattingzoo.weights import read_description

    if arguments.weights is not None:
        found = described_model(read_description(arguments.weights))
        if found is not None:
            return found
    if arguments.background is not None:
        return "background_matting"
    if arguments.trimap is not None:
        return "dim"
    return "semat" if arguments.box or arguments.point else "gfm"


def _own_pictures(found: list[Path], folder: Path) -> list[Path]:
    """The pictures of a folder without what an earlier run wrote, with whatever model."""
    from mattingzoo.cli import names

    extras = {name for model in names.models().values() for name in model.extras}
    written = tuple(f"_{name}" for name in ("alpha", "cutout", *extras))
    own = re.compile(rf"({'|'.join(map(re.escape, written))})(_[0-9]+)?$")
    kept = [path for path in found if not own.search(path.stem)]
    if not kept:
        raise ValueError(f"{folder} holds no pictures to matte")
    return kept


def _check_targets(images: list[Path], arguments: argparse.Namespace, several: bool) -> None:
    """Refuse results that would overwrite each other."""
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(f"several pictures are named {', '.join(twice)}; rename them")
    for option in ("out", "cutout"):
        target: Path | None = getattr(arguments, option)
        if several and target is not None and target.suffix.lower() == ".png":
            raise ValueError(f"--{option} must be a folder for several pictures, got {target}")


def _matte_one(
    image: Path, module: Any, fabric: Any, arguments: argparse.Namespace, several: bool
) -> None:
    from mattingzoo.inference import cut_out, predict_prompted
    from mattingzoo.io import read_rgb, read_trimap, write_png

    trimap = _partner_of(image, arguments.trimap, "trimap")
    picture = read_rgb(image)
    known = None if trimap is None else read_trimap(trimap)
    extras: dict[str, Any] = {}
    if module.prompts:
        mattes = predict_prompted(
            module, fabric, picture, **prompt_tensors(arguments, *picture.shape[:2])
        )
    else:
        matte, extras = predict(
            arguments, module, fabric, picture, known, _guides(image, picture, arguments)
        )
        mattes = [matte]
    for number, matte in enumerate(mattes, start=1):
        ending = f"_{number}" if len(mattes) > 1 else ""
        out = _target(image, arguments.out, several, "_alpha", ending)
        write_png(out, matte)
        if arguments.cutout is not None:
            cutout = _target(image, arguments.cutout, several, "_cutout", ending)
            write_png(cutout, cut_out(picture, matte, extras.get("foreground")))
    for name, extra in extras.items() if arguments.extras else ():
        write_png(out.with_name(f"{image.stem}_{name}.png"), extra)


def _guides(image: Path, picture: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Background and segmentation of a picture, as far as they are given."""
    from mattingzoo.inference import Plate
    from mattingzoo.io import read_gray, read_rgb
    from mattingzoo.segmentation import soften

    guides = {}
    segmentation = _partner_of(image, arguments.segmentation, "segmentation")
    if segmentation is not None:
        guides["segmentation"] = soften(read_gray(segmentation))
    background = _partner_of(image, arguments.background, "background")
    if background is not None:
        plate = Plate(read_rgb(background), arguments.align)
        guides["captured_background"] = plate.under(picture, guides.get("segmentation"))
    return guides


def _partner_of(image: Path, given: Path | None, what: str) -> Path | None:
    """The file given for a picture, or the one of its name in the folder given."""
    if given is None or not given.is_dir():
        return given
    from mattingzoo.io import list_images

    found = [file for file in list_images(given) if file.stem == image.stem]
    if not found:
        raise FileNotFoundError(f"{given} has no {what} named {image.stem}")
    return found[0]


def _target(image: Path, out: Path | None, several: bool, kind: str, number: str) -> Path:
    """Where a result goes: the file or folder asked for, or beside the picture."""
    if out is None:
        return image.with_name(f"{image.stem}{kind}{number}.png")
    if several or out.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        return out / f"{image.stem}{kind}{number}.png"
    if out.suffix.lower() != ".png":
        raise ValueError(f"mattes and cut-outs are written as .png, got {out.name!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.with_name(f"{out.stem}{number}.png")


def _progress(images: list[Path]) -> Any:
    from rich.progress import track

    return track(images, "matting", disable=len(images) < 2)
