"""The metrics against values of the field's MATLAB code, which live beside the checkout."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mattingzoo.metrics import Region, connection_levels, region_mask, scores
from mattingzoo.metrics.connectivity import conn_map
from mattingzoo.metrics.sums import (
    ABSOLUTE,
    CONNECTIVITY,
    GRADIENT,
    MASKED,
    PARTS,
    PIXELS,
    SQUARED,
    WHOLE,
    sums_on_cpu,
    sums_on_device,
)

GOLDEN = Path(__file__).parents[3].parent / "shared" / "metrics"
CASES = [
    "blobs_130x110",
    "empty_unknown",
    "hair_240x320",
    "noise_83x71",
    "pred_capped_200",
    "row_1x23",
    "smooth_120x157",
    "thin_diag_70x80",
    "threshold_levels_72x80",
    "ties_squares_s3",
    "trimap_odd_values",
    "unmasked_narrow_range",
]
REGIONS: tuple[Region, ...] = ("unknown", "whole")

pytestmark = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason=f"the golden values are not in {GOLDEN}"
)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    values = json.loads((GOLDEN / "metric_cases.json").read_text())["cases"][request.param]
    with np.load(GOLDEN / "metric_cases.npz") as arrays:
        for name in ("pred", "gt", "trimap", "levels"):
            values[name] = arrays[f"{request.param}__{name}"]
    return dict(values)


def batch(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)[None, None]


def test_every_case_is_listed() -> None:
    assert sorted(json.loads((GOLDEN / "metric_cases.json").read_text())["cases"]) == CASES


def test_levels_are_equal(case: dict[str, Any]) -> None:
    levels = connection_levels(case["pred"], case["gt"])
    np.testing.assert_array_equal(levels, case["levels"])
    assert hashlib.sha256(levels.tobytes()).hexdigest() == case["levels_sha256"]
    assert np.bincount(levels.ravel(), minlength=11).tolist() == case["level_hist"]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("sums", [sums_on_cpu, sums_on_device])
def test_integer_sums_are_equal(
    case: dict[str, Any], region: Region, sums: Callable[..., Tensor]
) -> None:
    pred, alpha = batch(case["pred"]), batch(case["gt"])
    mask = region_mask(batch(case["trimap"]), "unknown")
    row = sums(pred, alpha, mask, True, PARTS)[0, WHOLE if region == "whole" else MASKED]
    exact = case[region]["exact"]
    assert row[PIXELS] == case[region]["pixels"]
    assert row[ABSOLUTE] == exact["sad_255"]
    assert row[SQUARED] == exact["mse_65025"]
    if sums is sums_on_cpu:  # on a device it is left to CPU threads
        assert row[CONNECTIVITY] == exact["conn_2550"]


@pytest.mark.parametrize("region", REGIONS)
def test_connectivity_errors_add_up(case: dict[str, Any], region: Region) -> None:
    errors = conn_map(batch(case["pred"]), batch(case["gt"]))
    mask = region_mask(batch(case["trimap"]), region)
    assert errors[mask].sum() == case[region]["exact"]["conn_2550"]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("sums", [sums_on_cpu, sums_on_device])
def test_gradient_sums_are_within_a_millionth(
    case: dict[str, Any], region: Region, sums: Callable[..., Tensor]
) -> None:
    mask = region_mask(batch(case["trimap"]), "unknown")
    table = sums(batch(case["pred"]), batch(case["gt"]), mask, True, PARTS)
    measured = table[0, WHOLE if region == "whole" else MASKED, GRADIENT].item()
    assert measured == pytest.approx(case[region]["f64"]["grad"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("region", REGIONS)
def test_scores_without_filter_are_the_integers_over_their_unit(
    case: dict[str, Any], region: Region
) -> None:
    values = scores(batch(case["pred"]), batch(case["gt"]), batch(case["trimap"]))
    exact, pixels = case[region]["exact"], case[region]["pixels"]
    assert values[f"SAD/{region}"].item() == exact["sad_255"] / 255_000
    assert values[f"Conn/{region}"].item() == exact["conn_2550"] / 2_550_000
    if pixels:
        assert values[f"MSE/{region}"].item() == exact["mse_65025"] / (65025 * pixels)
        assert values[f"MAD/{region}"].item() == exact["sad_255"] / (255 * pixels)


@pytest.mark.parametrize("region", REGIONS)
def test_scores_are_within_a_millionth(case: dict[str, Any], region: Region) -> None:
    values = scores(batch(case["pred"]), batch(case["gt"]), batch(case["trimap"]))
    golden = case[region]["f64"]
    for name, scale in {"SAD": 1, "MSE": 1, "Grad": 1000, "Conn": 1000}.items():
        expected = golden[name.lower()]
        expected = float("nan") if expected is None else expected
        measured = values[f"{name}/{region}"].item() * scale
        assert measured == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)
