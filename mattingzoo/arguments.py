"""Refusing arguments that make no sense, in one sentence."""

from collections.abc import Collection


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuse an argument that is none of its choices.

    Raises:
        ValueError: If it is none; the message names the argument, the choices and what came.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
