"""Captured backgrounds are moved, brightened and exchanged; nothing else of a batch changes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mattingzoo.baselines import DifferenceKey
from mattingzoo.batch import Batch
from mattingzoo.datamodules import Captured, Synthetic
from mattingzoo.io import write_png
from mattingzoo.results import Entry
from mattingzoo.robustness import (
    AS_IT_IS,
    CONDITIONS,
    Condition,
    Disturbed,
    another_scene,
    moved,
    robustness_table,
)

NEEDED = (*DifferenceKey.inputs, "alpha")
BY_NAME = {condition.name: condition for condition in CONDITIONS}


def first_batch(data: Synthetic | Captured | Disturbed) -> Batch:
    batch = next(iter(data.test_dataloader()))
    assert batch is not None
    return data.prepare(batch, NEEDED)


def footage(root: Path, takes: int) -> Captured:
    for k in range(takes):
        for key, value in (("image", 200), ("captured_background", 40 * (k + 1)), ("alpha", 0)):
            (root / key).mkdir(exist_ok=True)
            shape = (12 + k, 16) if key == "alpha" else (12 + k, 16, 3)
            picture = np.full(shape, value, np.uint8)
            picture[0, 0] = 255  # tells a picture from itself turned round
            write_png(root / key / f"{k}.png", picture)
    return Captured(str(root), num_workers=0)


def test_conditions_are_those_of_the_report() -> None:
    pixels = [condition.amount for condition in CONDITIONS if condition.kind == "moved"]
    assert pixels == [1, 2, 4, 8, 16]
    assert {condition.kind for condition in CONDITIONS} == {"moved", "brightness", "wrong"}
    assert len(BY_NAME) == len(CONDITIONS) and AS_IT_IS.name not in BY_NAME


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_only_the_captured_background_changes(condition: Condition) -> None:
    data = Synthetic(num_workers=0, limit=2)
    before, after = first_batch(data), first_batch(Disturbed(data, condition))
    for key in ("image", "alpha", "trimap"):
        assert torch.equal(before[key], after[key])  # type: ignore[literal-required]
    disturbed = after["captured_background"]
    assert disturbed.shape == before["captured_background"].shape
    assert not torch.equal(disturbed, before["captured_background"])
    assert disturbed.min() >= 0 and disturbed.max() <= 1
    # The same picture is disturbed in the same way, run after run.
    again = first_batch(Disturbed(data, condition))
    assert torch.equal(again["captured_background"], disturbed)


def test_backgrounds_move_by_so_many_pixels_each_its_own_way() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    ramps = torch.stack([x, y, x]).expand(5, 3, 64, 64) / 64
    shifts = 64 * (moved(ramps, 4.0, torch.arange(5)) - ramps)[:, :2, 32, 32]
    torch.testing.assert_close(shifts.norm(dim=1), torch.full((5,), 4.0), atol=1e-3, rtol=0)
    assert len({tuple(shift.round().tolist()) for shift in shifts}) > 2


def test_brightness_is_a_factor() -> None:
    data = Synthetic(num_workers=0, limit=1)
    before = first_batch(data)["captured_background"]
    after = first_batch(Disturbed(data, BY_NAME["brightness x 0.75"]))["captured_background"]
    torch.testing.assert_close(after, 0.75 * before)


def test_a_wrong_background_is_that_of_another_scene(tmp_path: Path) -> None:
    data = footage(tmp_path, 4)
    wrong = first_batch(Disturbed(data, BY_NAME["of another scene"]))["captured_background"]
    assert wrong.shape == (1, 3, 12, 16)
    # Half the data set away: the third plate, brought to the size of the first.
    assert wrong[0, 0, 6, 8].item() == pytest.approx(120 / 255, abs=0.002)
    assert another_scene(data.source("test"), 3) == 1


def test_where_there_is_one_scene_only_its_own_is_turned_round(tmp_path: Path) -> None:
    data = footage(tmp_path, 1)
    assert another_scene(data.source("test"), 0) is None
    plate = first_batch(data)["captured_background"]
    wrong = first_batch(Disturbed(data, BY_NAME["of another scene"]))["captured_background"]
    assert torch.equal(wrong, plate.flip(-1).flip(-2)) and not torch.equal(wrong, plate)


def test_table_says_how_many_times_the_error_grows() -> None:
    entries: list[Entry] = [
        {"model": "key", "condition": condition.name, "SAD": 2.0, "MSE": 0.01 * (1 + k)}
        for k, condition in enumerate((AS_IT_IS, *CONDITIONS))
    ]
    view = robustness_table(entries, "synthetic")
    assert view.row_count == 1 + len(CONDITIONS)
    assert [str(cell) for cell in view.columns[0].cells][:2] == ["as it is", "moved by 1 px"]
    assert list(view.columns[2].cells)[:3] == ["10.00 1.0x", "20.00 2.0x", "30.00 3.0x"]
