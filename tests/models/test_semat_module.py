"""The recipe: what is trained, with which objectives, and what a run and its files keep."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mattingzoo.batch import Batch
from mattingzoo.losses import l1_loss
from mattingzoo.models.semat import SEMat
from mattingzoo.models.semat.losses import matting_losses
from mattingzoo.models.semat.module import parameter_groups
from mattingzoo.models.semat.network import sam_name
from mattingzoo.models.semat.schedule import lr_factor
from mattingzoo.weights import save_weights


def options(**changes: Any) -> dict[str, Any]:
    sizes: dict[str, Any] = {"sam": "tiny", "tiny_size": 64, "tiny_width": 32, "tiny_depth": 2}
    sizes |= {"tiny_heads": 2, "tiny_window": 2, "tiny_decoder_width": 32, "lora_rank": 4}
    sizes |= {"widths": (4, 4, 8, 8), "stem_kernel": 3, "train_sam": False}
    return sizes | {"schedule": "constant", "warmup_steps": 0, "lr": 1e-2} | changes


def micro(seed: int = 0, **changes: Any) -> SEMat:
    torch.manual_seed(seed)
    module = SEMat(**options(**changes))
    module.log = lambda *_, **__: None
    return module


def batch_of(count: int = 2, height: int = 64, width: int = 64) -> Batch:
    """Discs with soft rims on noise, one per picture."""
    generator = torch.Generator().manual_seed(5)
    y, x = torch.arange(height).view(1, -1, 1), torch.arange(width).view(1, 1, -1)
    centre = torch.rand(count, 1, 1, generator=generator)
    radius = 0.3 * min(height, width)
    distance = ((y - 0.5 * height) ** 2 + (x - (0.3 + 0.4 * centre) * width) ** 2).sqrt()
    alpha = ((radius - distance) / 6 + 0.5).clamp(0, 1).unsqueeze(1)
    colour = torch.rand(2, count, 3, 1, 1, generator=generator)
    image = alpha * colour[0] + (1 - alpha) * colour[1]
    trimap = torch.where((alpha > 0) & (alpha < 1), 0.5, alpha)
    boxes = []
    for a in alpha[:, 0] > 0:
        rows, columns = a.any(dim=1).nonzero(), a.any(dim=0).nonzero()
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return Batch(image=image, alpha=alpha, trimap=trimap, box=torch.tensor(boxes).float())


def step(module: SEMat, batch: Batch) -> Tensor:
    loss = module.training_step(batch, 0)
    loss.backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    torch.optim.SGD(trained, lr=1e-2).step()
    return loss.detach()


@pytest.mark.parametrize("hq", [False, True])
@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("train_sam", [False, True])
def test_gradients_reach_what_is_trained_and_nothing_else(
    train_sam: bool, enhanced: bool, hq: bool
) -> None:
    """What lets several processes train without looking for unused parameters."""
    module = micro(train_sam=train_sam, prompt_enhancement=enhanced, hq=hq)
    module.training_step(batch_of(), 0).backward()
    for name, weight in module.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
        if weight.grad is not None:
            assert weight.grad.isfinite().all(), name
    trained = {name for name, p in module.network.named_parameters() if p.requires_grad}
    of_sam = {name for name in trained if sam_name(name)}
    assert bool(of_sam) == train_sam
    if train_sam:
        left = {n for n, _ in module.network.named_parameters() if sam_name(n)} - of_sam
        parts = ("mask_downscaling", "not_a_point", "point_embeddings.", "hypernetworks", "iou_pre")
        assert all(any(part in name for part in parts) for name in left)


def test_ten_steps_leave_sam_bit_identical() -> None:
    module, batch = micro(lora_dropout=0.0), batch_of()
    before = {k: v.clone() for k, v in module.network.state_dict().items()}
    for _ in range(10):
        module.zero_grad()
        step(module, batch)
    for key, value in module.network.state_dict().items():
        bias = key.endswith("bias")  # before batch normalisation it has no gradient
        assert bias or torch.equal(value, before[key]) == bool(sam_name(key)), key
    biases = {k for k in before if sam_name(k) and k.endswith("bias")}
    assert all(torch.equal(module.network.state_dict()[k], before[k]) for k in biases)


def test_the_loss_is_the_weighted_sum_of_the_objectives() -> None:
    batch = batch_of()
    logged: dict[str, Tensor] = {}
    module = micro(lora_dropout=0.0)
    module.log = lambda name, value, **_: logged.update({name: value.detach()})
    total = module.training_step(batch, 0)
    weights = {"unknown": 1, "known": 1, "lap": 1, "grad": 1, "reg": 0.2, "trimap": 0.05}
    assert set(logged) == {f"train/loss_{name}" for name in weights} | {"train/loss"}
    expected = sum(w * logged[f"train/loss_{name}"] for name, w in weights.items())
    torch.testing.assert_close(total, expected)
    alpha = module.network(batch["image"], batch["box"] - torch.tensor([0.0, 0, 1, 1])).alpha
    for name, value in matting_losses(alpha, batch["alpha"], batch["trimap"]).items():
        torch.testing.assert_close(logged[f"train/loss_{name}"], value, rtol=1e-4, atol=1e-5)


def test_regularisation_compares_the_masks_that_sam_prefers() -> None:
    module, batch = micro(lora_dropout=0.0, hq=False), batch_of()
    logged: dict[str, Tensor] = {}
    module.log = lambda name, value, **_: logged.update({name: value.detach()})
    module.training_step(batch, 0)
    net, boxes = module.network, batch["box"] - torch.tensor([0.0, 0, 1, 1])
    with torch.no_grad():
        kept = net.reference(net.normalise(batch["image"]), boxes)
        live = net(batch["image"], boxes).decoded.masks
    live = torch.stack([masks[i] for masks, i in zip(live, kept.chosen, strict=True)])
    p, z = (
        F.interpolate(t, (64, 64), mode="bilinear") for t in (kept.logits.sigmoid(), live[:, None])
    )
    z0 = F.interpolate(kept.logits, (64, 64), mode="bilinear")
    expected = F.binary_cross_entropy_with_logits(z, z0.sigmoid())
    torch.testing.assert_close(logged["train/loss_reg"], expected, rtol=1e-4, atol=1e-5)
    assert p.shape == z.shape


@pytest.mark.parametrize("changes", [{"reg_weight": 0.0}, {"train_sam": True}])
def test_without_regularisation_sam_is_not_asked(changes: dict[str, Any]) -> None:
    module = micro(**changes)
    names: list[str] = []
    module.log = lambda name, *_, **__: names.append(name)
    module.network.reference = None  # type: ignore[method-assign, assignment]
    module.training_step(batch_of(), 0)
    assert "train/loss_reg" not in names


@pytest.mark.parametrize(("height", "width"), [(40, 64), (100, 30)])
def test_training_works_on_crops_of_any_size(height: int, width: int) -> None:
    module, batch = micro(), batch_of(2, height, width)
    assert module.training_step(batch, 0).isfinite()


def test_parameter_groups_spare_normalisations_and_positions() -> None:
    module = micro(train_sam=True)
    decaying, still = parameter_groups(module.network, 0.1)
    assert (decaying["weight_decay"], still["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in module.network.named_parameters()}
    still_names = {names[id(p)] for p in still["params"]}
    assert "encoder.vit.pos_embed" in still_names
    assert "encoder.vit.neck.1.weight" in still_names
    assert "detail.stem.1.bias" in still_names
    assert "decoder.matting.compress_vit_feat.1.weight" in still_names
    assert "detail.stem.0.bias" not in still_names
    assert all(p.ndim == 1 for p in still["params"] if names[id(p)] != "encoder.vit.pos_embed")
    trained = {id(p) for p in module.parameters() if p.requires_grad}
    both = [id(p) for group in (decaying, still) for p in group["params"]]
    assert len(both) == len(set(both)) and set(both) == trained


def test_schedule() -> None:
    def at(step: int, schedule: Any = "steps") -> float:
        return lr_factor(step, 60_000, 250, schedule)

    assert [at(0), at(125), at(250)] == pytest.approx([0.001, 0.5005, 1])
    places = (29_999, 30_000, 44_999, 45_000, 59_999)
    assert [at(place) for place in places] == [1, 0.5, 0.5, 0.2, 0.2]
    cosine = [at(place, "cosine") for place in (250, 30_125, 60_000)]
    assert cosine == pytest.approx([1, 0.5, 0], abs=1e-9)
    assert at(10**6, "constant") == 1
    with pytest.raises(ValueError, match="schedule='steps' needs an end"):
        lr_factor(0, float("inf"), 0, "steps")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "step"}, "schedule must be one of steps, cosine, constant, got 'step'"),
        ({"lora_rank": -1}, "lora_rank must be 0 or more, got -1"),
        ({"lora_dropout": 1.0}, r"lora_dropout must lie in \[0, 1\), got 1"),
        ({"reg_weight": -0.5}, "reg_weight must be 0 or more, got -0.5"),
        ({"init_from": "a.ckpt", "sam_checkpoint": "b.pth"}, r"init_from=a\.ckpt would overwrite"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        micro(**changes)


def test_without_weights_sam_is_trained_from_scratch(tmp_path: Path) -> None:
    assert micro(train_sam=None).train_sam
    path = save_weights(micro(), tmp_path / "w.safetensors", {})
    started = micro(seed=1, train_sam=None, init_from=str(path))
    assert not started.train_sam
    assert started.hparams["train_sam"] is False
    for key, value in micro().state_dict().items():
        assert torch.equal(started.state_dict()[key], value), key


def trainer(steps: int, **more: Any) -> Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", max_steps=steps, **quiet, **more)


def loader(batch: Batch) -> DataLoader[Any]:
    samples = [{k: v[i] for k, v in batch.items()} for i in range(len(batch["image"]))]  # type: ignore[index]
    return DataLoader(samples, batch_size=2)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`")
@pytest.mark.parametrize("train_sam", [True, False])
def test_a_run_without_sam_says_so(train_sam: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mattingzoo"):
        trainer(1).fit(SEMat(**options(train_sam=train_sam)), loader(batch_of()))
    said = [r.getMessage() for r in caplog.records if "no weights of SAM" in r.getMessage()]
    assert len(said) == 1
    assert ("from scratch" if train_sam else "random encoder is kept frozen") in said[0]
    assert "facebookresearch/segment-anything#model-checkpoints" in said[0]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`")
def test_a_checkpoint_keeps_the_trimap_loss_and_needs_no_other_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = save_weights(micro(), tmp_path / "start.safetensors", {})
    module = SEMat(**options(train_sam=None, init_from=str(start), schedule="steps"))
    first = trainer(2)
    first.fit(module, loader(batch_of(4)))
    first.save_checkpoint(tmp_path / "last.ckpt")
    start.unlink()
    counts = module.trimap_loss.counts
    assert counts.sum() > 0
    assert "counts" not in str(sorted(module.state_dict()))
    restored = SEMat.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert torch.equal(restored.trimap_loss.counts, counts)
    assert not restored.train_sam
    for key, value in module.state_dict().items():
        assert torch.equal(restored.state_dict()[key], value), key
    # Without its file a run goes on as it began, and does not turn to training SAM.
    resumed = SEMat(**options(train_sam=None, schedule="steps"))
    assert resumed.train_sam
    with caplog.at_level(logging.WARNING, logger="mattingzoo"):
        trainer(4).fit(resumed, loader(batch_of(4)), ckpt_path=tmp_path / "last.ckpt")
    assert not resumed.train_sam
    assert "no weights of SAM" not in caplog.text
    before, after = module.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items() if sam_name(k))
    assert not all(torch.equal(after[k], v) for k, v in before.items())


def test_merged_module_is_one_without_lora(tmp_path: Path) -> None:
    module, batch = micro().eval(), batch_of()
    for layer in module.modules():
        if hasattr(layer, "lora_b"):
            nn.init.normal_(layer.lora_b.weight, std=0.1)
    expected = module.matte(batch)
    module.merge_lora()
    path = save_weights(module, tmp_path / "w.safetensors", {})
    again = micro(seed=1, lora_rank=module.hparams["lora_rank"], init_from=str(path)).eval()
    torch.testing.assert_close(again.matte(batch), expected, rtol=0, atol=1e-5)


def two_objects() -> Batch:
    """The same picture twice: two textured discs, the box about one and the other."""
    y, x = torch.arange(64).view(-1, 1), torch.arange(64).view(1, -1)
    discs = [((11 - ((y - 32) ** 2 + (x - c) ** 2).sqrt()) / 4 + 0.5).clamp(0, 1) for c in (17, 47)]
    alpha = torch.stack(discs).unsqueeze(1)
    image = torch.full((3, 64, 64), 0.3)
    image[2] = 0.6
    for disc, colour in zip(discs, ([0.9, 0.2, 0.1], [0.1, 0.9, 0.3]), strict=True):
        image = disc * torch.tensor(colour).view(3, 1, 1) + (1 - disc) * image
    trimap = torch.where((alpha > 0) & (alpha < 1), 0.5, alpha)
    box = torch.tensor([[4.0, 19.0, 31.0, 46.0], [34.0, 19.0, 61.0, 46.0]])
    return Batch(image=image.expand(2, -1, -1, -1), alpha=alpha, trimap=trimap, box=box)


@pytest.mark.slow
@pytest.mark.parametrize("train_sam", [True, False])
def test_overfits_and_follows_the_box(train_sam: bool) -> None:
    """Item 9 of the specification: unknown-region L1 below 0.02, and the box decides which."""
    module, batch = micro(train_sam=train_sam, widths=(8, 8, 16, 16)), two_objects()
    groups = parameter_groups(module.network, 0.01)
    optimizer = torch.optim.AdamW(groups, lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        schedule.step()
    alpha = module.eval().matte(batch)
    assert l1_loss(alpha, batch["alpha"], batch["trimap"] == 0.5) < 0.02
    assert l1_loss(alpha, batch["alpha"].flip(0)) > 0.1
