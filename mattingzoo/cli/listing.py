"""`mattingzoo list`: everything that has a name."""

import argparse
from typing import Any


def register(commands: Any) -> None:
    """Add the command."""
    p = commands.add_parser("list", help="names of models, data sets and configurations")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the names, with one line about each."""
    from rich.console import Console
    from rich.table import Table

    from mattingzoo.baselines import BASELINES
    from mattingzoo.cli import names
    from mattingzoo.cli.load import shipped_weights

    view = Table(show_header=False, box=None)
    for name, model in sorted(names.models().items()):
        weights = shipped_weights(name)
        note = f" [dim](ships {weights.name})[/dim]" if weights else ""
        reads = ", ".join(model.inputs)
        view.add_row("model", name, f"{_first_line(model)} Reads {reads}.{note}")
    for name, baseline in BASELINES.items():
        view.add_row("baseline", name, _first_line(baseline))
    for name, data in sorted(names.datamodules().items()):
        view.add_row("data set", name, _first_line(data))
    for name in names.configs():
        view.add_row("configuration", name, "")
    Console().print(view)


def _first_line(item: Any) -> str:
    return (item.__doc__ or "").strip().splitlines()[0]
