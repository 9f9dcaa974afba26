"""A model ready to use, by name, from a weight file or from the weights that ship with it."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from mattingzoo.baselines import BASELINES
from mattingzoo.cli import names
from mattingzoo.module import MattingModule
from mattingzoo.weights import load_weights, read_description, sha256


@dataclass
class Loaded:
    """A model and where it comes from; the fields but ``module`` go into result files."""

    module: MattingModule
    model: str
    variant: str
    recipe: str
    weights: str
    weights_sha256: str | None


def known_models() -> list[str]:
    """Names of everything that can be scored: baselines and models."""
    return [*BASELINES, *sorted(names.models())]


def load_model(name: str, weights: str | None = None, random_weights: bool = False) -> Loaded:
    """Build a model and load its weights.

    Args:
        name: A model or a baseline.
        weights: ``.safetensors`` or ``.ckpt``; None takes the shipped ones.
        random_weights: Build the smallest variant untrained, for smoke tests.

    Raises:
        ValueError: If there is no such model, or the file is of another model.
        FileNotFoundError: If the model ships no weights and none are given.
    """
    if name in BASELINES:
        return Loaded(BASELINES[name](), name, "-", "-", "-", None)
    cls = names.find_model(name)
    shipped = shipped_weights(name)
    if random_weights:
        hparams = read_description(shipped)["hparams"] if shipped else {}
        return Loaded(_build(cls, hparams), name, "random", "-", "random", None)
    path = Path(weights) if weights else shipped
    if path is None:
        raise FileNotFoundError(
            f"{name} ships no weights: give a file with --weights, train one with "
            f"`mattingzoo fit --config {name}/paper`, or use --random-weights for a smoke test"
        )
    description = read_description(path)
    _check_model(description, name, path)
    module = _build(cls, description.get("hparams", {}))
    load_weights(module, path, allow_missing=module.training_only)
    label = path.name if path == shipped else str(path)
    variant = description.get("variant") or path.stem
    recipe = _recipe(description.get("recipe"))
    return Loaded(module.eval(), name, variant, recipe, label, sha256(path))


def described_model(description: dict[str, Any]) -> str | None:
    """The model a weight file says it is of, by name or else by class; None if it is silent.

    Args:
        description: As :func:`mattingzoo.weights.read_description` gives it.
    """
    class_path = description.get("class_path")
    if description.get("model") is None and class_path is not None:
        return names.model_of(class_path) or str(class_path)
    return description.get("model")


def shipped_weights(name: str) -> Path | None:
    """The weight file inside a model's folder, if there is one."""
    folder = Path(str(files(f"mattingzoo.models.{name}")))
    return next(iter(sorted(folder.glob("*.safetensors"))), None)


def _build(cls: type[MattingModule], hparams: dict[str, Any]) -> MattingModule:
    # Files that initialised the training are not needed to use its result.
    hparams = {**hparams}
    for key in ("init_from", "encoder_weights", "sam_checkpoint"):
        hparams.pop(key, None)
    return cls(**hparams)


def _check_model(description: dict[str, Any], name: str, path: Path) -> None:
    found = described_model(description)
    if found is not None and found != name:
        raise ValueError(f"{path} holds weights of {found!r}, not of {name!r}")
    if found is None and "hparams" not in description:
        raise ValueError(
            f"{path} does not say what it is of; convert it with "
            f"`mattingzoo import-weights --model {name} --checkpoint {path} -o FILE.safetensors`"
        )


def _recipe(recipe: Any) -> str:
    return str(recipe.get("name", "-")) if isinstance(recipe, dict) else str(recipe or "-")
