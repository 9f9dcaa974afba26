"""The frame around pictures of any size, and several objects of one picture."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mattingzoo.batch import Batch
from mattingzoo.models.semat import SEMat
from mattingzoo.models.semat.letterbox import Letterbox, tight_boxes
from mattingzoo.models.semat.network import SEMatNet, sam_name
from mattingzoo.models.semat.sam import TinySAM, build_sam
from mattingzoo.ops import box_from_alpha

BOXES = torch.tensor([[2.0, 3.0, 20.0, 30.0], [10.0, 0.0, 47.0, 33.0], [40.0, 20.0, 45.0, 33.0]])


def micro(seed: int = 0, **options: Any) -> SEMat:
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"sam": "tiny", "tiny_size": 64, "tiny_width": 32, "tiny_depth": 2}
    sizes |= {"tiny_heads": 2, "tiny_window": 2, "tiny_decoder_width": 32, "lora_rank": 4}
    sizes |= {"widths": (4, 4, 8, 8), "stem_kernel": 3, "train_sam": False}
    return SEMat(**{**sizes, **options}).eval()


def test_portrait_of_600_by_400() -> None:
    """Item 8 of the specification: 1024 x 683, padding that is normalised like the picture."""
    frame = Letterbox(600, 400, 1024)
    assert (frame.rows, frame.columns) == (1024, 683)
    with torch.device("meta"):
        net = SEMatNet("vit_b")
    net.mean, net.std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    net.mean, net.std = net.mean.view(1, 3, 1, 1), net.std.view(1, 3, 1, 1)
    normalised = net.normalise(frame.picture(torch.rand(1, 3, 600, 400)))
    padding = normalised[..., 683:]
    assert padding.shape[-1] == 341
    for channel, value in enumerate((-2.118, -2.036, -1.804)):
        assert padding[0, channel].unique().item() == pytest.approx(value, abs=5e-4)
    assert frame.matte(torch.rand(1, 1, 1024, 1024)).shape == (1, 1, 600, 400)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([64, 128]))
def test_any_picture_fills_its_part_of_the_frame(height: int, width: int, size: int) -> None:
    frame = Letterbox(height, width, size)
    assert max(frame.rows, frame.columns) == size
    framed = frame.picture(torch.ones(1, 1, height, width))
    assert framed.shape == (1, 1, size, size)
    inside = torch.zeros(1, 1, size, size)
    inside[..., : frame.rows, : frame.columns] = 1
    torch.testing.assert_close(framed, inside)
    torch.testing.assert_close(frame.matte(framed), torch.ones(1, 1, height, width))


def test_a_picture_of_the_frame_s_size_is_not_touched() -> None:
    frame, picture = Letterbox(64, 64, 64), torch.rand(2, 3, 64, 64)
    assert torch.equal(frame.picture(picture), picture)
    assert torch.equal(frame.matte(picture[:, :1]), picture[:, :1])
    assert torch.equal(frame.points(torch.tensor([[[3.0, 7.0]]])), torch.tensor([[[3.0, 7.0]]]))


def test_boxes_become_inclusive_rounded_and_clipped() -> None:
    boxes = torch.tensor([[2.0, 4.0, 30.0, 60.0], [-5.0, 0.0, 90.0, 64.0], [0.0, 0.0, 0.0, 0.0]])
    same = Letterbox(64, 64, 64).boxes(boxes)
    assert same.tolist() == [[2, 4, 29, 59], [0, 0, 63, 63], [0, 0, 0, 0]]
    half = Letterbox(128, 64, 64).boxes(torch.tensor([[3.0, 8.0, 30.0, 101.0]]))
    # 1.5, 4, 15 - 1, 50.5 - 1; halves are rounded up as in the reference's demo
    assert half.tolist() == [[2, 4, 14, 50]]


@pytest.mark.parametrize("shape", [(64, 64), (64, 40), (32, 20), (96, 128)])
def test_box_of_the_picture_is_the_tight_box_of_the_framed_matte(shape: tuple[int, int]) -> None:
    """The specification's test protocol takes the box from the resized matte."""
    alpha = torch.zeros(1, 1, *shape)
    alpha[..., 4 : shape[0] - 10, 6 : shape[1] - 3] = 1
    frame = Letterbox(*shape, 64)
    box = box_from_alpha(alpha, 0.0, torch.Generator())
    ours = frame.boxes(box)
    theirs = tight_boxes(frame.picture(alpha) > 0.5)
    assert (ours - theirs).abs().max() <= 1
    if shape == (64, 64):
        assert torch.equal(ours, theirs)


def test_points_keep_their_place() -> None:
    frame = Letterbox(100, 50, 64)
    for x, y in ((0, 0), (49, 99), (20, 60)):
        picture = torch.zeros(1, 1, 100, 50)
        picture[0, 0, y, x] = 1
        framed = frame.picture(F.avg_pool2d(picture, 3, 1, 1))
        peak = framed.flatten().argmax().item()
        moved = frame.points(torch.tensor([[[float(x), float(y)]]]))[0, 0]
        assert (moved - torch.tensor([peak % 64, peak // 64])).abs().max() <= 1.5


def test_trimaps_stay_trimaps() -> None:
    trimap = torch.zeros(1, 1, 48, 30)
    trimap[..., 8:40, 5:25], trimap[..., 16:32, 10:20] = 0.5, 1.0
    framed = Letterbox(48, 30, 64).trimap(trimap)
    assert framed.unique().tolist() == [0.0, 0.5, 1.0]
    assert framed.mean().item() == pytest.approx(trimap.mean().item() * 40 / 64, rel=0.05)
    assert torch.equal(Letterbox(64, 64, 64).trimap(framed), framed)


def test_tight_boxes() -> None:
    masks = torch.zeros(3, 1, 6, 8, dtype=torch.bool)
    masks[0, 0, 2:4, 1:6] = True
    masks[1] = True
    assert tight_boxes(masks).tolist() == [[1, 2, 5, 3], [0, 0, 7, 5], [0, 0, 0, 0]]


@pytest.mark.parametrize("enhanced", [True, False])
def test_several_boxes_equal_one_picture_each(enhanced: bool) -> None:
    model, image = micro(prompt_enhancement=enhanced), torch.rand(1, 3, 33, 47)
    embedding = model.embed(image)
    singly = torch.cat([model.matte(Batch(image=image, box=box[None])) for box in BOXES])
    for at_once in (1, 2, 8):
        alphas = model.predict(embedding, BOXES, at_once=at_once)
        assert alphas.shape == (3, 1, 33, 47)
        torch.testing.assert_close(alphas, singly, rtol=0, atol=1e-5)


def test_without_prompt_enhancement_the_encoder_runs_once() -> None:
    for enhanced in (True, False):
        runs: list[int] = []
        model = micro(prompt_enhancement=enhanced)
        block = model.network.encoder.vit.blocks[0]
        block.register_forward_hook(lambda *args, runs=runs: runs.append(len(args[-1])))
        embedding = model.embed(torch.rand(1, 3, 64, 64))
        model.predict(embedding, BOXES)
        model.predict(embedding, BOXES[:1])
        assert runs == ([3, 1] if enhanced else [1])


def squares(points: Tensor) -> Tensor:
    """Mask logits [N, 1, 16, 16] of a square of 12 pixels about each object's first point."""
    steps = torch.arange(16) * 4 + 2.0
    logits = torch.full((len(points), 1, 16, 16), -5.0)
    for i, (x, y, _) in enumerate(points[:, 0]):
        near = ((steps - x).abs() < 6).view(1, -1) & ((steps - y).abs() < 6).view(-1, 1)
        logits[i, 0][near] = 5.0
    return logits


def test_points_become_the_box_of_sam_s_own_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = micro(), torch.rand(1, 3, 64, 64)
    points = torch.tensor([[[20.0, 30.0, 1.0], [0, 0, -1]], [[50.0, 14.0, 1.0], [2, 2, 0]]])
    logits = squares(points)
    asked: list[Any] = []

    def plain_masks(features: Any, boxes: Any = None, points: Any = None) -> Any:
        asked.append((features, points))
        return type("Answer", (), {"logits": logits})

    monkeypatch.setattr(model.network, "plain_masks", plain_masks)
    embedding = model.embed(image)
    alphas = model.predict(embedding, points=points)
    mask = F.interpolate(logits, (64, 64), mode="bilinear", align_corners=False) > 0
    boxes = tight_boxes(mask)
    exclusive = boxes + torch.tensor([0.0, 0, 1, 1])
    assert (boxes[0] - torch.tensor([14, 24, 25, 35])).abs().max() <= 3  # about the first point
    torch.testing.assert_close(alphas, model.predict(embedding, exclusive))
    features, (places, labels) = asked[0]
    assert torch.equal(places, points[..., :2]) and torch.equal(labels, points[..., 2])
    plain = model.network.encoder.encode_plain(model.network.normalise(image))
    torch.testing.assert_close(features.embedding, plain.embedding)
    model.predict(embedding, points=points)
    assert asked[1][0] is features  # SAM's own features are computed once


def test_points_reach_sam_as_segment_anything_embeds_them() -> None:
    """No part replaced: the box is that of the mask of segment_anything's own decoder."""
    model = micro(fused_attention=False)
    with torch.no_grad():
        for i in range(4):  # masks that have both signs, whatever the seed
            nn.init.normal_(model.network.decoder.sam.output_hypernetworks_mlps[i].layers[2].weight)
    sam = build_sam("tiny", TinySAM(64, 32, 2, 2, 2, 32)).eval()
    state = {sam_name(k): v for k, v in model.network.state_dict().items() if sam_name(k)}
    sam.load_state_dict(state)
    image, points = torch.rand(1, 3, 64, 64), torch.tensor([[[20.0, 30.0, 1.0], [60, 5, 0]]])
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder((points[..., :2], points[..., 2]), None, None)
        masks, quality = sam.mask_decoder(
            image_embeddings=sam.image_encoder(model.network.normalise(image)),
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
    best = masks[:, [int(quality.argmax())]]
    mask = F.interpolate(best, (64, 64), mode="bilinear", align_corners=False) > 0
    assert mask.any()
    box = tight_boxes(mask) + torch.tensor([0.0, 0, 1, 1])
    embedding = model.embed(image)
    torch.testing.assert_close(
        model.predict(embedding, points=points), model.predict(embedding, box)
    )


def test_empty_masks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = micro()
    logits = torch.full((2, 1, 16, 16), -1.0)
    logits[0] = 1.0
    answer = type("Answer", (), {"logits": logits})
    monkeypatch.setattr(model.network, "plain_masks", lambda *_, **__: answer)
    points = torch.tensor([[[5.0, 5.0, 1.0]], [[9.0, 9.0, 1.0]]])
    with pytest.raises(ValueError, match="masks of the points of object 1 are empty"):
        model.predict(model.embed(torch.rand(1, 3, 64, 64)), points=points)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "give boxes or points, one of them"),
        ({"boxes": BOXES, "points": torch.zeros(1, 1, 3)}, "give boxes or points, one of them"),
        ({"boxes": BOXES[0]}, r"boxes must be \[N, 4\] .* got \(4,\)"),
        ({"boxes": BOXES[:0]}, r"boxes must be \[N, 4\] .* got \(0, 4\)"),
        ({"boxes": BOXES[:, [2, 1, 0, 3]]}, r"x0 < x1 and y0 < y1, got \[20.0, 3.0, 2.0, 30.0\]"),
        ({"points": torch.zeros(2, 3)}, r"points must be \[N, P, 3\] .* got \(2, 3\)"),
        ({"points": torch.zeros(1, 2, 3)}, "at least one with label 1"),
    ],
)
def test_bad_prompts_are_refused(prompts: dict[str, Tensor], message: str) -> None:
    model = micro()
    embedding = model.embed(torch.rand(1, 3, 33, 47))
    with pytest.raises(ValueError, match=message):
        model.predict(embedding, **prompts)


def test_points_need_sam_itself() -> None:
    points = torch.tensor([[[5.0, 5.0, 1.0]]])
    from_scratch, merged = micro(train_sam=True), micro()
    merged.merge_lora()
    for model, message in ((from_scratch, "trained on boxes only"), (merged, "merged with LoRA")):
        embedding = model.embed(torch.rand(1, 3, 33, 47))
        assert model.predict(embedding, BOXES).isfinite().all()
        with pytest.raises(ValueError, match=message):
            model.predict(embedding, points=points)


def test_prompting_needs_one_picture_in_evaluation_mode() -> None:
    model = micro()
    with pytest.raises(ValueError, match=r"one picture \[1, 3, H, W\], got \(2, 3, 8, 8\)"):
        model.embed(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="evaluation mode"):
        model.train().embed(torch.rand(1, 3, 8, 8))
