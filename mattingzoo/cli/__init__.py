"""The command line: `mattingzoo fit|validate|test|predict|matte|data|import-weights|score`."""

from mattingzoo.cli.main import main

__all__ = ["main"]
