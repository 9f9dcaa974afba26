"""Which model `mattingzoo matte` takes when none is named."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from mattingzoo.cli.load import load_model
from mattingzoo.cli.matte import default_model
from mattingzoo.weights import save_weights

NOTHING: dict[str, Any] = {"background": None, "trimap": None, "box": [], "point": []}


def chosen(weights: Path | None = None, **given: Any) -> str:
    options = {**NOTHING, **given, "weights": None if weights is None else str(weights)}
    return default_model(argparse.Namespace(**options))


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({}, None),
        ({"trimap": Path("t.png")}, "trimap"),
        ({"box": ["0,0,5,5"]}, "box"),
        ({"point": ["1,1"]}, "box"),
    ],
)
def test_it_reads_what_is_given_and_ships_weights(given: dict[str, Any], key: str | None) -> None:
    module = load_model(chosen(**given)).module
    assert set(module.inputs) == ({"image"} if key is None else {"image", key})


def test_a_plate_asks_for_background_matting() -> None:
    assert chosen(background=Path("plate.png")) == "background_matting"


def test_weights_say_what_they_are_of(tmp_path: Path) -> None:
    path = save_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors", {"model": "adamatting"})
    assert chosen(path) == "adamatting"
    silent = save_weights(torch.nn.Linear(1, 1), tmp_path / "s.safetensors", {})
    assert chosen(silent, trimap=Path("t.png")) == "dim"
