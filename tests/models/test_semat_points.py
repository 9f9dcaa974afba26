"""SEMat in evaluation: told the object by clicks instead of a box."""

import pytest
import torch
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.models import SEMat


def micro(**options: object) -> SEMat:
    torch.manual_seed(0)
    sizes = {"sam": "tiny", "tiny_size": 64, "tiny_width": 32, "tiny_depth": 2, "tiny_heads": 2}
    sizes |= {"tiny_window": 2, "tiny_decoder_width": 32, "lora_rank": 2, "stem_kernel": 3}
    return SEMat(**{**sizes, "widths": (4, 4, 8, 8), "train_sam": False, **options}).eval()  # type: ignore[arg-type]


def batch() -> Batch:
    image = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    points = torch.tensor([[[10.0, 20, 1], [3, 3, 0]], [[30.0, 8, 1], [0, 0, -1]]])
    return {"image": image, "points": points, "box": torch.tensor([[2.0, 2, 30, 30]] * 2)}


def test_points_are_read_once_asked_for() -> None:
    model = micro()
    boxes = model.matte(batch())
    assert model.inputs == ("image", "box")
    model.use_prompt("points")
    assert model.inputs == ("image", "points")
    mattes = model.matte(batch())
    assert mattes.shape == boxes.shape and not torch.equal(mattes, boxes)
    for i in range(2):  # each picture by its own points
        one = batch()["image"][i : i + 1], None, batch()["points"][i : i + 1]
        torch.testing.assert_close(mattes[i : i + 1], model.prompted(*one))
    model.use_prompt("box")
    torch.testing.assert_close(model.matte(batch()), boxes)


def test_where_nothing_can_be_clicked_on_nothing_is_found() -> None:
    model = micro()
    model.use_prompt("points")
    clicks = batch()
    clicks["points"][1, 0, 2] = -1
    first, second = model.matte(clicks)
    assert first.max() > 0 and second.max() == 0


def test_where_sam_finds_nothing_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = micro()
    model.use_prompt("points")
    plain = model.network.plain_masks

    def empty(*arguments: object, **options: object) -> object:
        found = plain(*arguments, **options)  # type: ignore[arg-type]
        return found._replace(logits=torch.full_like(found.logits, -1.0))

    monkeypatch.setattr(model.network, "plain_masks", empty)
    assert model.matte(batch()).max() == 0


def test_points_need_a_sam_of_its_own() -> None:
    with pytest.raises(ValueError, match="points need SAM's own decoder and weights"):
        micro(train_sam=True, lora_rank=0).use_prompt("points")


def test_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be prompted by words, it takes box or points"):
        micro().use_prompt("words")


def test_prompted_boxes_are_those_of_a_batch() -> None:
    model = micro()
    boxes = torch.tensor([[2.0, 2, 30, 30], [10, 5, 45, 39]])
    image = batch()["image"][:1]

    def one(box: Tensor) -> Tensor:
        return model.matte({"image": image, "box": box[None]})

    expected = torch.cat([one(box) for box in boxes])
    torch.testing.assert_close(model.prompted(image, boxes), expected, rtol=1e-4, atol=1e-5)
