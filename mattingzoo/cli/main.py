"""Dispatch. Heavy imports wait until a command needs them, so that `--help` answers at once."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial

LIGHTNING = {
    "fit": "train a model on a data set",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test split",
    "predict": "write the mattes of a data set's test split",
}
EPILOG = """\
examples:
  mattingzoo fit --config dim/tiny --data synthetic
  mattingzoo fit --config dim/paper --data comp1k --data.root DIR --config trainer/gpu
  mattingzoo fit --config dim/paper --data comp1k --data.root DIR --ckpt_path runs/.../last.ckpt
  mattingzoo test --config dim/paper --data comp1k --data.root DIR --ckpt_path best.ckpt
  mattingzoo matte photo.jpg --trimap trimap.png -o alpha.png --cutout cutout.png
  mattingzoo matte clip.mp4 --background plate.png -o alpha.mp4
  mattingzoo data check comp1k --root DIR
  mattingzoo score --pred out --alpha test/alpha --trimap test/trimap
  mattingzoo compare results/per_image.csv --models dim,closed-form

`mattingzoo COMMAND --help` tells more. Names of configurations, models and data sets:
`mattingzoo list`.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of use end with one sentence and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    run: Callable[[], None]
    if given and given[0] in LIGHTNING:
        # Before rich is: types it resolves first would turn Trainer's `int | float` limits round,
        # and `limit_test_batches=1` would then mean all instead of one.
        from mattingzoo.cli import train

        run = partial(train.run, given)
    else:
        namespace = build_parser().parse_args(given)
        run = partial(namespace.run, namespace)
    show_warnings()
    from mattingzoo.cli.errors import guarded

    guarded(run)


def show_warnings() -> None:
    """Show this package's warnings; Lightning shows its own."""
    from rich.logging import RichHandler

    log = logging.getLogger("mattingzoo")
    if not log.handlers:
        log.addHandler(RichHandler(show_path=False))


def build_parser() -> argparse.ArgumentParser:
    """All commands; those of Lightning are only listed, LightningCLI parses them."""
    parser = argparse.ArgumentParser(
        prog="mattingzoo",
        description="The PyTorch Lightning model zoo of image matting.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    from mattingzoo import __version__

    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, what in LIGHTNING.items():
        commands.add_parser(name, help=what)
    from mattingzoo.cli import compare, data, listing, matte, onnx, score, weights

    for command in (matte, score, compare, data, weights, onnx, listing):
        command.register(commands)
    return parser
