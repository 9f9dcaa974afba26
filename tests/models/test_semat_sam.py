"""Local files of SAM's and HQ-SAM's weights."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mattingzoo.models.semat import SEMat
from mattingzoo.models.semat.network import SEMatNet, sam_name
from mattingzoo.models.semat.sam import (
    RELEASES,
    Release,
    TinySAM,
    build_sam,
    check_release,
    read_sam,
)

MICRO = TinySAM(size=64, width=32, depth=2, heads=2, window=2, decoder_width=32)
SMALL = {"widths": (4, 4, 8, 8), "stem_kernel": 3, "lora_rank": 4}


def network(**options: Any) -> SEMatNet:
    return SEMatNet(**{"sam": "tiny", "tiny": MICRO, **SMALL, **options})


def sam_file(path: Path, hq: bool = False) -> dict[str, Tensor]:
    """A file as facebookresearch or SysCV publish them."""
    torch.manual_seed(7)
    state = build_sam("tiny", MICRO).state_dict()
    if hq:
        head = network(hq=True).state_dict()
        state |= {sam_name(k): v for k, v in head.items() if k.startswith("decoder.hq.")}
    torch.save(state, path)
    return state


@pytest.mark.parametrize("hq", [False, True])
def test_every_weight_arrives_and_nothing_else_moves(tmp_path: Path, hq: bool) -> None:
    state = sam_file(tmp_path / "sam.pth", hq)
    assert ("mask_decoder.hf_mlp.layers.0.weight" in state) == hq
    net = network(hq=hq)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.load_sam(str(tmp_path / "sam.pth"))
    for key, value in net.state_dict().items():
        expected = state[sam_name(key)] if sam_name(key) else before[key]
        assert torch.equal(value, expected), key


def test_a_run_from_a_file_keeps_sam_frozen(tmp_path: Path) -> None:
    sam_file(tmp_path / "sam.pth")
    sizes = {"tiny_size": 64, "tiny_width": 32, "tiny_depth": 2, "tiny_heads": 2}
    module = SEMat(
        sam="tiny",
        tiny_window=2,
        tiny_decoder_width=32,
        sam_checkpoint=str(tmp_path / "sam.pth"),
        **sizes,  # type: ignore[arg-type]
        **SMALL,  # type: ignore[arg-type]
    )
    assert not module.train_sam
    assert "sam_checkpoint" not in module.hparams


def test_missing_file_says_where_it_is_published(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"sam_checkpoint .*nowhere\.pth does not") as error:
        read_sam(tmp_path / "nowhere.pth", "vit_l", hq=False)
    assert "sam_vit_l_0b3195.pth from https://github.com/facebookresearch" in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"sam_hq_vit_b\.pth from https://github.com/SysCV"):
        read_sam(tmp_path / "nowhere.pth", "vit_b", hq=True)


@pytest.mark.parametrize("hq", [False, True])
def test_sam_and_hq_sam_are_not_mistaken(tmp_path: Path, hq: bool) -> None:
    sam_file(tmp_path / "sam.pth", hq=not hq)
    found = "SAM" if hq else "HQ-SAM"
    with pytest.raises(ValueError, match=f"holds {found}, but hq={hq} needs .*set hq={not hq}"):
        network(hq=hq).load_sam(str(tmp_path / "sam.pth"))


def test_another_variant_is_refused_with_its_keys(tmp_path: Path) -> None:
    sam_file(tmp_path / "sam.pth")
    net = network(tiny=MICRO._replace(depth=3, size=128))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ValueError, match="is not a SAM of sam='tiny'") as error:
        net.load_sam(str(tmp_path / "sam.pth"))
    assert "14 keys missing: image_encoder.blocks.2.norm1.weight" in str(error.value)
    assert "image_encoder.pos_embed: file (1, 4, 4, 32), model (1, 8, 8, 32)" in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_the_published_file_is_recognised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "sam.pth"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    with caplog.at_level(logging.WARNING):
        assert check_release(path, Release("sam.pth", "sha256", digest, "https://page"))
        assert not caplog.records
        assert not check_release(path, Release("sam.pth", "sha256", "0" * 64, "https://page"))
    said = caplog.records[0].getMessage()
    assert f"sha256 is {digest}, not {'0' * 64}; it is used all the same" in said
    assert "published on https://page" in said


def test_an_unknown_file_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = sam_file(tmp_path / "own.pth")
    with caplog.at_level(logging.WARNING):
        read = read_sam(tmp_path / "own.pth", "vit_b", hq=False)
    assert "is not sam_vit_b_01ec64.pth as published" in caplog.text
    assert set(read) == set(state)


def test_digests_are_whole() -> None:
    for release in RELEASES.values():
        assert len(bytes.fromhex(release.digest)) == hashlib.new(release.algorithm).digest_size
    assert len({release.digest for release in RELEASES.values()}) == len(RELEASES) == 6
