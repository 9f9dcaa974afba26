"""Weights as files: what they are of, where they come from, and loading that hides nothing."""

import hashlib
import json
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar as _scalar
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mattingzoo import __version__

# Older checkpoints keep their best score as a numpy number, pickled under numpy's old module name.
_NUMPY_NUMBERS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int64")),
]


def save_weights(
    module: nn.Module,
    path: str | Path,
    description: Mapping[str, Any],
    dtype: torch.dtype | None = None,
    leave_out: tuple[str, ...] = (),
) -> Path:
    """Write a module's state as safetensors, atomically.

    Args:
        module: What to save; its ``state_dict`` is written.
        path: File to write, ``.safetensors``.
        description: What one needs to know to use it again: ``model`` (command-line name),
            ``hparams``, ``recipe``, ``data``, … ; stored as JSON in the header.
        dtype: Store floating-point values as this type; None keeps theirs.
        leave_out: Prefixes of keys that are not written.

    Returns:
        The path written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"weights are written as .safetensors, got {path.name!r}")
    state = {}
    for key, value in module.state_dict().items():
        if key.startswith(leave_out):
            continue
        tensor = value.detach().cpu().contiguous()
        state[key] = tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
    header = {"mattingzoo": json.dumps({**description, "version": __version__})}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        partial.touch(exist_ok=False)
        mode = partial.stat().st_mode
        save_file(state, partial, metadata=header)
        partial.chmod(mode)  # safetensors makes files that are their owner's alone
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_description(path: str | Path) -> dict[str, Any]:
    """What a weight file or a Lightning checkpoint says of itself.

    Returns:
        For safetensors the header's ``description``; for ``.ckpt`` ``{"hparams": ...}``. Empty if
        the file says nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is neither of the two formats.
    """
    path = _existing(path)
    if path.suffix == ".safetensors":
        with _open(path) as file:
            metadata = file.metadata() or {}
        description: dict[str, Any] = json.loads(metadata.get("mattingzoo", "{}"))
        return description
    checkpoint = load_pickle(path)
    hparams = dict(checkpoint.get("hyper_parameters", {}))
    class_path = hparams.pop("_class_path", None) or checkpoint.get("mattingzoo_model")
    return {
        "hparams": {k: v for k, v in hparams.items() if not k.startswith("_")},
        "class_path": class_path,
        **checkpoint.get("datamodule_hyper_parameters", {}),
    }


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a weight file: safetensors, a Lightning checkpoint or a bare state dict."""
    path = _existing(path)
    if path.suffix == ".safetensors":
        with _open(path) as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no iterator
    checkpoint = load_pickle(path)
    state = checkpoint.get("state_dict", checkpoint)
    if isinstance(state.get("model"), dict):  # as detectron2 writes it
        state = state["model"]
    wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(f"{path} holds no state dict: {wrong[:5]} are not tensors")
    return dict(state)


def load_weights(
    module: nn.Module, path: str | Path, allow_missing: tuple[str, ...] = ()
) -> nn.Module:
    """Load a module's state; nothing is left out unseen.

    Args:
        module: What to load into, in place.
        path: ``.safetensors``, Lightning ``.ckpt`` or a state dict saved by torch.
        allow_missing: Prefixes of the module's keys that the file may lack, as a stage-1 file
            lacks the refiner; they keep their initial values.

    Returns:
        The module.

    Raises:
        ValueError: If keys are missing, left over or of another shape; the message lists them.
    """
    state = read_state(path)
    expected = module.state_dict()
    asked = {k: v for k, v in expected.items() if k in state or not k.startswith(allow_missing)}
    faults = mismatches(asked, state)
    if faults:
        raise ValueError(
            f"{path} does not fit {type(module).__name__}; {faults}; "
            "use the hyper-parameters it was trained with, or `mattingzoo import-weights`"
        )
    module.load_state_dict(state, strict=False)
    return module


def mismatches(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], shown: int = 8) -> str:
    """What keeps a state from being loaded, for people; empty if nothing does.

    Args:
        expected: The state of what is to be filled.
        state: The state to fill it with.
        shown: So many keys of each kind are named.
    """
    kinds = {
        "missing": [key for key in expected if key not in state],
        "unknown": [key for key in state if key not in expected],
        "of another shape": [
            f"{key}: file {tuple(state[key].shape)}, model {tuple(value.shape)}"
            for key, value in expected.items()
            if key in state and state[key].shape != value.shape
        ],
    }
    return "; ".join(
        f"{len(keys)} keys {kind}: {_some(keys, shown)}" for kind, keys in kinds.items() if keys
    )


def load_pickle(path: Path) -> dict[str, Any]:
    """Load a torch file without running anything that may be in it.

    Raises:
        ValueError: If it holds objects other than tensors, numbers and plain containers.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            mapped = zipfile.is_zipfile(path)  # else an old format, which cannot be mapped
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises half a dozen types, all of which mean: not loadable
        raise ValueError(
            f"{path} cannot be loaded safely ({type(error).__name__}): it is truncated, not a "
            "torch file, or holds pickled objects besides tensors, which could run code; ask for "
            "a state dict or a .safetensors file"
        ) from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, expected a dict of tensors")
    return loaded


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights {path} do not exist; give a .safetensors or .ckpt file")
    return path


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except Exception as error:
        raise ValueError(f"{path} is not a safetensors file, or truncated: {error}") from error


def _some(keys: list[str], shown: int) -> str:
    return ", ".join(keys[:shown]) + (f" and {len(keys) - shown} more" * (len(keys) > shown))
