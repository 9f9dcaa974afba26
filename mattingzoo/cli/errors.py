"""Mistakes of use end with one sentence instead of a traceback."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes seconds to import, which not every command should wait for
    from lightning.fabric import Fabric


def guarded(run: Callable[[], None]) -> None:
    """Run a command; errors of use exit with code 2, an interruption with 130."""
    try:
        run()
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, KeyError) as error:
        # KeyError prints its argument quoted; the sentence itself is wanted.
        sentence = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        # Lightning's word for a wrong argument of the trainer; by name, for its import is slow too.
        if type(error).__name__ != "MisconfigurationException":
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def make_fabric(device: str, precision: Any) -> "Fabric":
    """Device and precision for inference.

    Raises:
        ValueError: If this machine has no such device.
    """
    from lightning.fabric import Fabric

    try:
        return Fabric(accelerator=device, devices=1, precision=precision)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"--device {device} cannot be used: {error}") from error
