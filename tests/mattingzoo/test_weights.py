"""Weight files: nothing hidden, nothing run, nothing half-written."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mattingzoo.weights import load_weights, read_description, read_state, save_weights, sha256


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_round_trip_keeps_values_types_and_description(tmp_path: Path) -> None:
    path = save_weights(
        net(), tmp_path / "a" / "w.safetensors", {"model": "x", "hparams": {"n": 1}}
    )
    assert read_description(path)["hparams"] == {"n": 1}
    target = load_weights(net(), path)
    for key, value in target.state_dict().items():
        assert torch.equal(value, read_state(path)[key])


def test_half_precision_keeps_counters_whole(tmp_path: Path) -> None:
    path = save_weights(net(), tmp_path / "w.safetensors", {}, torch.float16)
    state = read_state(path)
    assert state["0.weight"].dtype == torch.float16
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert load_weights(net(), path).state_dict()["0.weight"].dtype == torch.float32


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = save_weights(net(), tmp_path / "w.safetensors", {})
    before = sha256(path)
    with pytest.raises(TypeError):
        save_weights(net(), path, {"not json": object()})
    assert sha256(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    other = tmp_path / "text"
    other.write_text("")  # as any file that a program makes
    path = save_weights(net(), tmp_path / "w.safetensors", {})
    assert path.stat().st_mode == other.stat().st_mode


def test_only_named_keys_may_be_missing(tmp_path: Path) -> None:
    path = save_weights(net(), tmp_path / "w.safetensors", {})
    larger = nn.Sequential(*net(), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"2 keys missing: 2\.weight, 2\.bias"):
        load_weights(larger, path)
    load_weights(larger, path, allow_missing=("2.",))


def test_other_shapes_are_told(tmp_path: Path) -> None:
    path = save_weights(nn.Linear(3, 4), tmp_path / "w.safetensors", {})
    with pytest.raises(ValueError, match=r"weight: file \(4, 3\), model \(4, 5\)"):
        load_weights(nn.Linear(5, 4), path)


class Bomb:
    """Runs a command when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "extra": Bomb(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="could run code"):
        read_state(path)
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(ValueError, match="could run code"):
        read_state(path)
    assert not (tmp_path / "ran").exists()


def test_checkpoint_with_a_numpy_score_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    state = nn.Linear(1, 1).state_dict()
    torch.save({"epoch": 3, "state_dict": state, "best_sad": np.float64(54.4)}, path)
    assert set(read_state(path)) == {"weight", "bias"}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x08\x00")
    with pytest.raises(ValueError, match=name):
        read_state(path)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"w\.pth"):
        read_state(tmp_path / "w.pth")


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"written as \.safetensors"):
        save_weights(net(), tmp_path / "w.pth", {})
