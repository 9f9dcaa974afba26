"""`mattingzoo import-weights` and `export-weights`: weight files that say what they are."""

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add both commands."""
    p = commands.add_parser(
        "import-weights",
        help="convert a public checkpoint of another code base",
        description="Convert a public checkpoint. Refuses if a single key does not match, and "
        "never runs code that a file may hold.",
    )
    p.add_argument("--model", required=True, help="name of the model")
    p.add_argument("--checkpoint", required=True, type=Path, help="file to convert")
    p.add_argument("-o", "--out", required=True, type=Path, help="file to write, .safetensors")
    p.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="what the checkpoint does not tell by itself, see the model card; e.g. skips=true",
    )  # fmt: skip
    p.set_defaults(run=convert)
    p = commands.add_parser(
        "export-weights",
        help="make a small weight file of a training checkpoint",
        description="Keep only the weights of a Lightning checkpoint, and where they come from.",
    )
    p.add_argument("--checkpoint", required=True, type=Path, help="Lightning .ckpt")
    p.add_argument("-o", "--out", required=True, type=Path, help="file to write, .safetensors")
    p.add_argument("--variant", default="custom", help="what to call it on leaderboards")
    p.add_argument("--data", help="what to call the training data; default: the data module's name")
    p.add_argument("--half", action="store_true", help="store as float16")
    p.set_defaults(run=export)


def convert(arguments: argparse.Namespace) -> None:
    """Convert a public checkpoint to a weight file."""
    from mattingzoo.cli import names
    from mattingzoo.weights import read_state, save_weights, sha256

    cls = names.find_model(arguments.model)
    try:
        converter = import_module(f"mattingzoo.models.{arguments.model}.convert")
    except ModuleNotFoundError:
        raise ValueError(f"no public checkpoint of {arguments.model} can be converted") from None
    options = dict(_option(text) for text in arguments.option)
    hparams, state = converter.convert(read_state(arguments.checkpoint), **options)
    module: Any = cls(**hparams)
    module.network.load_state_dict(state)
    description = {
        "model": arguments.model,
        "variant": "imported",
        "hparams": hparams,
        "recipe": "its authors'",
        "origin": arguments.checkpoint.name,
        "origin_sha256": sha256(arguments.checkpoint),
    }
    path = save_weights(module, arguments.out, description)
    print(f"{len(state)} tensors, {sum(v.numel() for v in state.values()):,} values -> {path}")


def export(arguments: argparse.Namespace) -> None:
    """Write the weights of a Lightning checkpoint, its recipe and its data."""
    import torch

    from mattingzoo.cli import names
    from mattingzoo.cli.load import load_model
    from mattingzoo.weights import read_description, save_weights

    description = read_description(arguments.checkpoint)
    name = names.model_of(str(description.get("class_path")))
    if name is None:
        raise ValueError(f"{arguments.checkpoint} is no Lightning checkpoint of a model of the zoo")
    module = load_model(name, str(arguments.checkpoint)).module
    kept = {
        "model": name,
        "variant": arguments.variant,
        "hparams": description["hparams"],
        "recipe": description.get("recipe", {}),
        "data": arguments.data or description.get("data"),
    }
    dtype = torch.float16 if arguments.half else None
    path = save_weights(module, arguments.out, kept, dtype, leave_out=module.training_only)
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--option takes NAME=VALUE, got {text!r}")
    known = {"true": True, "false": False}
    return name, known.get(value.lower(), value)
