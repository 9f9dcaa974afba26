"""What a model gives besides its matte: one pass, in panels, beside the matte on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from mattingzoo.baselines import TrimapBaseline
from mattingzoo.batch import Batch
from mattingzoo.callbacks import Panels
from mattingzoo.cli import main
from mattingzoo.datamodules import Synthetic
from mattingzoo.inference import cut_out, predict_matte, predict_with_extras
from mattingzoo.io import read_gray, read_rgb, write_png
from mattingzoo.models import AdaMatting
from mattingzoo.module import MattingModule
from mattingzoo.pictures import panel
from mattingzoo.weights import save_weights

HPARAMS: dict[str, Any] = {
    "width": 2,
    "blocks": [1, 1, 1],
    "decoder_widths": [2, 2, 2, 2],
    "propagation_width": 2,
    "memory_width": 2,
}


class Inverted(MattingModule):
    """The trimap as matte; the image upside down in colour, out of range and in half precision."""

    inputs = ("image", "trimap")
    extras = ("negative", "plane")
    passes = 0

    def forward(self, batch: Batch) -> Tensor:
        return self.forward_with_extras(batch)[0]

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        self.passes += 1
        negative = (2 - 2 * batch["image"]).bfloat16()
        return batch["trimap"], {"negative": negative, "plane": batch["trimap"] * 0 - 1}

    def training_keys(self) -> tuple[str, ...]:
        return ()

    def configure_optimizers(self) -> None:
        return None


class Tinted(Inverted):
    """The image, a tenth brighter, as the foreground's colours."""

    extras = ("foreground",)

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return batch["trimap"], {"foreground": batch["image"] + 0.1}


class Opaque(Synthetic):
    """Built-in pictures that are all foreground, so that image and foreground are one."""

    def prepare(self, batch: Batch, needed: tuple[str, ...], split: Any = None) -> Batch:
        batch = super().prepare(batch, needed, split)
        batch["image"], batch["alpha"] = batch["foreground"], torch.ones_like(batch["alpha"])
        return batch


class Greenless(Opaque):
    """The same without true colours."""

    def prepare(self, batch: Batch, needed: tuple[str, ...], split: Any = None) -> Batch:
        batch = super().prepare(batch, needed, split)
        del batch["foreground"]
        return batch


def sample() -> Batch:
    image = torch.full((1, 3, 8, 8), 0.25)
    trimap = torch.full((1, 1, 8, 8), 0.5)
    return {"image": image, "trimap": trimap, "alpha": torch.ones(1, 1, 8, 8), "name": ["a"]}


def test_extras_come_with_the_matte_in_one_pass() -> None:
    model = Inverted()
    alpha, extras = model.matte_with_extras(sample())
    assert model.passes == 1
    assert torch.equal(alpha, sample()["trimap"])
    assert list(extras) == ["negative", "plane"]
    for picture, value in ((extras["negative"], 1), (extras["plane"], 0)):
        assert picture.dtype == torch.float32 and (picture == value).all()
        assert not picture.requires_grad
    assert torch.equal(model.matte(sample()), alpha)


def test_a_model_gives_none_unless_it_says_so() -> None:
    model = TrimapBaseline()
    alpha, extras = model.matte_with_extras(sample())
    assert extras == {} and model.extras == ()
    assert torch.equal(alpha, sample()["trimap"])


def test_panel_shows_them_to_the_right() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    extras = {"colour": red, "gray": torch.full((1, 1, 8, 8), 0.5)}
    plain = panel(sample(), sample()["alpha"], 8)
    row = panel(sample(), sample()["alpha"], 8, extras)
    assert row.shape == (8, 8 * 12, 3)
    assert np.array_equal(row[:, : 6 * 12], plain)
    assert row[4, 6 * 12 + 4].tolist() == [255, 0, 0]
    assert row[4, 7 * 12 + 4].tolist() == [128] * 3


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize(("model", "columns"), [(Inverted, 8), (TrimapBaseline, 6)])
def test_panels_of_a_validation_have_them(
    tmp_path: Path, model: type[MattingModule], columns: int
) -> None:
    trainer = Trainer(
        accelerator="cpu",
        limit_val_batches=1,
        logger=CSVLogger(tmp_path, version="run"),
        callbacks=[Panels(1, 32)],
        enable_progress_bar=False,
    )
    trainer.validate(model(), Synthetic(num_workers=0, limit=1, size=64), verbose=False)
    row = read_rgb(next(tmp_path.rglob("step-*.png")))
    assert row.shape == (36, columns * 36, 3)


def scores_of(model: MattingModule, data: Synthetic) -> dict[str, float]:
    """What two validations in a row log."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    first = trainer.validate(model, data, verbose=False)[0]
    assert trainer.validate(model, data, verbose=False)[0] == first  # nothing is left over
    return dict(first)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_foreground_colours_are_scored_where_true_ones_are_known() -> None:
    data = Opaque(num_workers=0, limit=2, size=64)
    scores = scores_of(Tinted(), data)
    expected = []
    for batch in data.val_dataloader():
        assert batch is not None
        true = batch["foreground"].int()
        brighter = ((true / 255 + 0.1).clamp(0, 1) * 255).round()
        expected.append(((brighter - true) / 255).square().mean())
    assert scores["val/mse_fg"] == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_foreground_colours_are_not_scored_without_either() -> None:
    without = scores_of(Inverted(), Opaque(num_workers=0, limit=2, size=64))
    unknown = scores_of(Tinted(), Greenless(num_workers=0, limit=2, size=64))
    assert without.keys() == unknown.keys()
    assert "val/SAD/whole" in without and "val/mse_fg" not in without


def test_a_cut_out_has_the_model_s_own_colours() -> None:
    image, colours = np.zeros((2, 4, 5, 3), np.uint8)
    colours[:], matte = 77, np.full((4, 5), 128, np.uint8)
    rgba = cut_out(image, matte, colours)
    assert (rgba[..., :3] == 77).all() and (rgba[..., 3] == 128).all()
    assert (cut_out(image, matte)[..., :3] == 0).all()


def test_pictures_of_ones_own_get_them_as_bytes() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    image = np.full((5, 7, 3), 200, np.uint8)
    trimap = np.full((5, 7), 128, np.uint8)
    matte, extras = predict_with_extras(Inverted(), fabric, image, trimap)
    assert np.array_equal(matte, predict_matte(Inverted(), fabric, image, trimap))
    assert extras["negative"].shape == (5, 7, 3) and extras["plane"].shape == (5, 7)
    assert extras["negative"].dtype == np.uint8
    assert abs(int(extras["negative"][0, 0, 0]) - 110) <= 1  # 2 - 2 * 200 / 255


@pytest.fixture
def photo(tmp_path: Path) -> list[str]:
    """Arguments: a folder of one picture, its trimap, and weights of a tiny AdaMatting."""
    torch.manual_seed(0)
    weights = save_weights(
        AdaMatting(**HPARAMS),
        tmp_path / "w.safetensors",
        {"model": "adamatting", "hparams": HPARAMS},
    )
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    write_png(tmp_path / "in" / "cat.png", rng.integers(0, 255, (21, 33, 3)).astype(np.uint8))
    write_png(tmp_path / "cat.png", np.full((21, 33), 128, np.uint8))
    known = ["--model", "adamatting", "--weights", str(weights), "--device", "cpu"]
    return [str(tmp_path / "in"), "--trimap", str(tmp_path / "cat.png"), *known]


def test_matte_writes_them_when_asked(tmp_path: Path, photo: list[str]) -> None:
    folder = tmp_path / "in"
    main(["matte", *photo])
    assert {p.name for p in folder.iterdir()} == {"cat.png", "cat_alpha.png"}
    main(["matte", *photo, "--extras"])
    written = {"cat.png", "cat_alpha.png", "cat_adapted_trimap.png"}
    assert {p.name for p in folder.iterdir()} == written
    adapted, alpha = (read_gray(folder / f"cat_{n}.png") for n in ("adapted_trimap", "alpha"))
    assert adapted.shape == (21, 33) and set(np.unique(adapted)) <= {0, 128, 255}
    assert (alpha[adapted == 0] == 0).all() and (alpha[adapted == 255] == 255).all()
    main(["matte", *photo, "--extras"])  # what was written is no picture to matte
    assert {p.name for p in folder.iterdir()} == written


def test_matte_of_one_picture_puts_them_next_to_it(tmp_path: Path, photo: list[str]) -> None:
    out = tmp_path / "out" / "matte.png"
    main(["matte", str(tmp_path / "in" / "cat.png"), *photo[1:], "-o", str(out), "--extras"])
    assert {p.name for p in out.parent.iterdir()} == {"matte.png", "cat_adapted_trimap.png"}


def test_a_model_without_any_says_so(photo: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["matte", *photo[:3], "--model", "trimap", "--extras"])
    assert "trimap gives nothing besides its matte" in capsys.readouterr().err
