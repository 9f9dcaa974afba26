"""The discriminator: published counts and sizes, and the patch that one score sees."""

import pytest
import torch

from mattingzoo.nn import PatchDiscriminator


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_counts_of_the_two_papers() -> None:
    with torch.device("meta"):
        assert count(PatchDiscriminator(4)) == 2_766_657  # HAttMatting
        assert count(PatchDiscriminator(4, norm="instance")) == 2_765_761
        assert count(PatchDiscriminator(3, norm="instance", padding=2)) == 2_764_737  # BGM


def test_map_of_scores() -> None:
    picture = torch.zeros(1, 4, 512, 512)
    assert PatchDiscriminator(4, width=2)(picture).shape == (1, 1, 62, 62)
    padded = PatchDiscriminator(4, width=2, norm="instance", padding=2)
    assert padded(picture).shape == (1, 1, 67, 67)


def test_one_score_sees_70_pixels() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(1, width=4).eval()
    picture = torch.rand(1, 1, 256, 256, requires_grad=True)
    scores = network(picture)
    scores[0, 0, 15, 15].backward()
    assert picture.grad is not None
    rows, columns = picture.grad[0, 0].nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_scores_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert PatchDiscriminator(3, width=2)(torch.rand(2, 3, 32, 32)).dtype == torch.float32


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="norm must be one of batch, instance, got 'group'"):
        PatchDiscriminator(3, norm="group")  # type: ignore[arg-type]
