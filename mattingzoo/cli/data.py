"""`mattingzoo data`: check and make data sets."""

import argparse
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from mattingzoo.cli import build, prepare


def register(commands: Any) -> None:
    """Add `data check`, `data compose`, `data build` and `data prepare`."""
    p = commands.add_parser("data", help="check or make a data set")
    actions = p.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="report everything that is wrong with a data set")
    check.add_argument("name", help="data set, e.g. comp1k")
    check.add_argument("--root", required=True, type=Path, help="its folder")
    _add_backgrounds(check)
    check.set_defaults(run=run_check)
    make = actions.add_parser(
        "compose",
        help="compose a test set as its authors' script does",
        description="Write the composites of a data set, bit-identical to the public script's. "
        "Finished files are kept: stop and start it as you like.",
    )
    make.add_argument("name", help="data set, e.g. comp1k")
    make.add_argument("--root", required=True, type=Path, help="its folder")
    make.add_argument("--split", choices=["test", "train"], default="test")
    _add_backgrounds(make)
    make.add_argument("--workers", type=int, help="processes; default: one per core")
    make.set_defaults(run=run_compose)
    build.register(actions)
    prepare.register(actions)


def run_check(arguments: argparse.Namespace) -> None:
    """Print what is wrong; exit code 1 if anything is."""
    look = _function(arguments.name, "check")
    elsewhere = {"coco": arguments.coco, "voc": arguments.voc}
    given = {name: folder for name, folder in elsewhere.items() if folder is not None}
    strange = sorted(given.keys() - signature(look).parameters.keys())
    if strange:
        raise ValueError(f"{arguments.name} is composed of nothing; leave out --{strange[0]}")
    report = look(arguments.root, **given)
    print(report)
    if report.problems:
        sys.exit(1)


def run_compose(arguments: argparse.Namespace) -> None:
    """Compose; exit code 1 if a file could not be read."""
    report = _function(arguments.name, "compose")(
        arguments.root, arguments.split, arguments.coco, arguments.voc, arguments.workers
    )
    print(f"{report.written} written, {report.skipped} were there, {len(report.failures)} failed")
    for failure in report.failures:
        print(failure, file=sys.stderr)
    if report.failures:
        sys.exit(1)


def _add_backgrounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--coco", type=Path, help="COCO train2014; default: inside the root")
    parser.add_argument("--voc", type=Path, help="VOC JPEGImages; default: inside the root")


def _function(name: str, action: str) -> Any:
    from mattingzoo.cli import names

    names.find_datamodule(name)
    function = getattr(import_module(f"mattingzoo.datamodules.{name}"), action, None)
    if function is None:
        raise ValueError(f"there is nothing to {action} in {name}")
    return function
