"""The authors' network, built again from its description under their names, and its checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import densenet121, resnet34, resnet101
from torchvision.models.resnet import BasicBlock

from mattingzoo.cli.main import main
from mattingzoo.models.gfm import GFMNet
from mattingzoo.models.gfm.convert import convert
from mattingzoo.weights import read_description, read_state

#: Parameters as published: unique in their module, and what of it the forward pass never uses.
PUBLISHED = {
    ("r34", "TT"): (55_286_316, 513_000),
    ("r34_2b", "TT"): (125_878_956, 817_640),
    ("d121", "TT"): (46_961_772, 1_027_048),
    ("r101", "TT"): (497_256_556, 2_049_000),
    ("r34", "RIM"): (55_733_891, 513_000),
    ("r34_2b", "RIM"): (125_882_627, 817_640),
    ("d121", "RIM"): (47_409_347, 1_027_048),
    ("r101", "RIM"): (497_704_131, 2_049_000),
}
#: m1, m2 and o of the decoder blocks from the deepest, and the channels of the features they join.
BLOCKS = {
    "r34": [(512, 512, 256), (256, 256, 128), (128, 128, 64), (64, 64, 64)],
    "r101": [(2048, 1024, 1024), (1024, 512, 512), (512, 256, 256), (256, 128, 64)],
}
BLOCKS["d121"] = BLOCKS["r34"]
BLOCKS["r34_2b"] = [(512, 512, 512), (512, 512, 512), *BLOCKS["r34"]]
INPUTS_OF_FOCUS = {
    "r34": [1024, 512, 256, 128],
    "r101": [4096, 2048, 1024, 512],
    "d121": [1024, 768, 384, 192],
    "r34_2b": [1024, 1024, 1024, 512, 256, 128],
}


def triple(before: int, widths: tuple[int, ...], norm: bool = True, up: bool = True) -> nn.Module:
    layers: list[nn.Module] = []
    for number, after in enumerate(widths):
        layers.append(nn.Conv2d(before, after, 3, padding=1))
        if norm or number < len(widths) - 1:
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        before = after
    return nn.Sequential(*layers, *([nn.Upsample(scale_factor=2, mode="bilinear")] if up else []))


class Pyramid(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(s), nn.Conv2d(c, c, 1, bias=False))
            for s in (1, 3, 5)
        )
        self.bottleneck = nn.Conv2d(4 * c, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            F.interpolate(s(x), x.shape[-2:], mode="bilinear", align_corners=True)
            for s in self.stages
        ]
        return self.bottleneck(torch.cat([*parts, x], 1)).relu()


class Squeeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(16, 4, bias=False), nn.ReLU(), nn.Linear(4, 16, bias=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[..., None, None]


class Authors(nn.Module):
    """Layers under the authors' names; a checkpoint is its state."""

    def __init__(self, encoder: str, variant: str = "TT") -> None:
        super().__init__()
        self.add_encoder(encoder)
        self.top = len(BLOCKS[encoder])
        self.full = encoder == "r34_2b"
        c = BLOCKS[encoder][0][0]
        self.psp_module = Pyramid(c)
        bridge: list[nn.Module] = []
        for _ in range(3):
            bridge += [nn.Conv2d(c, c, 3, padding=2, dilation=2), nn.BatchNorm2d(c), nn.ReLU()]
        self.bridge_block = nn.Sequential(*bridge)
        before = 2 * c
        for k, widths in enumerate(BLOCKS[encoder]):
            level, up = self.top - k, not (self.full and k == self.top - 1)
            setattr(self, f"decoder{level}_g", triple(before, widths, up=up))
            focus = triple(INPUTS_OF_FOCUS[encoder][k], widths, up=up)
            setattr(self, f"decoder{level}_f", focus)
            scale = 2 ** (k + 1) if level > 1 or not self.full else 32  # one is not used there
            joined = nn.Sequential(
                nn.Conv2d(c, widths[-1], 3, padding=1),
                nn.BatchNorm2d(widths[-1]),
                nn.ReLU(),
                nn.Upsample(scale_factor=scale, mode="bilinear"),
            )
            setattr(self, f"psp{level}", joined)
            before = 2 * widths[-1]
        self.suffixes = ["_tt", "_ft", "_bt"] if variant == "RIM" else [""]
        for suffix in self.suffixes:
            classes = 3 if suffix == "_tt" or variant == "TT" else 2
            for letter, channels in (("g", classes), ("f", 1)):
                if self.full:
                    head: nn.Module = nn.Sequential(nn.Conv2d(64, channels, 3, padding=1))
                else:
                    head = triple(128, (64, 64, channels), norm=False)
                setattr(self, f"decoder0_{letter}{suffix}", head)
        if variant == "RIM":
            self.rim = nn.Sequential(nn.Conv2d(3, 16, 1), Squeeze(), nn.Conv2d(16, 1, 1))

    def add_encoder(self, encoder: str) -> None:
        if encoder == "d121":
            self.densenet = densenet121(weights=None)
            f = self.densenet.features
            self.encoder0 = nn.Sequential(f.conv0, f.norm0, f.relu0)
            self.encoder1 = nn.Sequential(f.denseblock1, f.transition1)
            self.encoder2 = nn.Sequential(f.denseblock2, f.transition2)
            self.encoder3 = nn.Sequential(f.denseblock3, f.transition3)
            conv = nn.Conv2d(1024, 512, 3, padding=1)
            pool = nn.MaxPool2d(2, ceil_mode=True)
            self.encoder4 = nn.Sequential(f.denseblock4, conv, nn.BatchNorm2d(512), nn.ReLU(), pool)
            return
        self.resnet = (resnet101 if encoder == "r101" else resnet34)(weights=None)
        r = self.resnet
        if encoder == "r34_2b":
            conv = nn.Conv2d(3, 64, 3, padding=1)
            self.encoder0 = nn.Sequential(conv, nn.BatchNorm2d(64), nn.ReLU())
            self.encoder1: nn.Module = r.layer1
            for name in ("encoder5", "encoder6"):
                blocks = [BasicBlock(512, 512) for _ in range(3)]
                setattr(self, name, nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), *blocks))
        else:
            self.encoder0 = nn.Sequential(r.conv1, r.bn1, r.relu)
            self.encoder1 = nn.Sequential(r.maxpool, r.layer1)
        self.encoder2, self.encoder3, self.encoder4 = r.layer2, r.layer3, r.layer4

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of glance and of focus, of each head; image in 0 to 255."""
        e = [image]
        for k in range(self.top + 1):
            e.append(getattr(self, f"encoder{k}")(e[-1]))
        e = e[1:]
        p, f = self.psp_module(e[-1]), self.bridge_block(e[-1])
        g = self.decode(self.top, "g", p, e[-1])
        f = self.decode(self.top, "f", f, e[-1])
        for k in range(self.top - 1, 0, -1):
            g = self.decode(k, "g", getattr(self, f"psp{k + 1}")(p), g)
            f = self.decode(k, "f", f, e[k])
        if not self.full:
            g, f = torch.cat([self.psp1(p), g], 1), torch.cat([f, e[0]], 1)
        return (
            [getattr(self, f"decoder0_g{suffix}")(g) for suffix in self.suffixes],
            [getattr(self, f"decoder0_f{suffix}")(f) for suffix in self.suffixes],
        )

    def decode(self, level: int, letter: str, *inputs: Tensor) -> Tensor:
        decoded: Tensor = getattr(self, f"decoder{level}_{letter}")(torch.cat(inputs, 1))
        return decoded


def on_meta(encoder: str, variant: str = "TT") -> dict[str, Tensor]:
    with torch.device("meta"):
        return Authors(encoder, variant).state_dict()


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize(("encoder", "variant"), PUBLISHED)
def test_parameters_are_the_published_ones_less_what_is_never_used(
    encoder: Any, variant: Any
) -> None:
    published, dead = PUBLISHED[encoder, variant]
    with torch.device("meta"):
        assert count(Authors(encoder, variant)) == published
        assert count(GFMNet(encoder, variant)) == published - dead


def test_what_is_never_used_is_the_classifier_and_what_stands_before_it() -> None:
    with torch.device("meta"):
        assert count(resnet34().fc) == 513_000 and count(resnet101().fc) == 2_049_000
        densenet = densenet121()
        assert count(densenet.classifier) + count(densenet.features.norm5) == 1_027_048
        resnet, theirs = resnet34(), Authors("r34_2b")
        unused = (resnet.fc, resnet.conv1, resnet.bn1, theirs.psp1)
        assert sum(map(count, unused)) == 817_640


@pytest.mark.parametrize("encoder", ["r34", "r101"])
def test_two_classes_take_577_parameters_less_than_three(encoder: Any) -> None:
    with torch.device("meta"):
        three, *two = (count(GFMNet(encoder, variant)) for variant in ("TT", "FT", "BT"))
    assert two == [three - 577] * 2


@pytest.mark.parametrize(
    ("encoder", "variant"), [("r34", "TT"), ("r101", "TT"), ("d121", "RIM"), ("r34_2b", "RIM")]
)
def test_every_key_of_a_checkpoint_finds_its_place(encoder: str, variant: str) -> None:
    hparams, state = convert(on_meta(encoder, variant))
    assert hparams == {"encoder": encoder, "variant": variant}
    with torch.device("meta"):
        expected = GFMNet(**hparams).state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in expected.items()}


def test_checkpoint_of_r34_has_688_keys() -> None:
    assert len(on_meta("r34")) == 688


@pytest.mark.parametrize(
    ("encoder", "variant", "side"), [("r34", "RIM", 64), ("d121", "TT", 64), ("r34_2b", "BT", 32)]
)
def test_converted_network_gives_what_the_authors_gives(
    encoder: str, variant: str, side: int
) -> None:
    torch.manual_seed(0)
    theirs = Authors(encoder, variant).eval()
    for name, buffer in theirs.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    hparams, state = convert(theirs.state_dict(), variant if variant == "BT" else None)
    with torch.device("meta"):
        ours = GFMNet(**hparams).eval()
    ours.load_state_dict(state, assign=True)
    image = torch.rand(1, 3, side, side + 32)
    with torch.inference_mode():
        glances, focuses = theirs(255 * image)
        output = ours(image)
    for glance, focus, part in zip(glances, focuses, output.parts, strict=True):
        assert glance.std() > 1e-3 and focus.std() > 1e-3
        torch.testing.assert_close(part.glance, glance, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(part.focus, focus.sigmoid(), atol=1e-3, rtol=1e-3)
    if variant == "RIM":
        mattes = torch.cat([part.alpha for part in output.parts], dim=1)
        with torch.inference_mode():
            torch.testing.assert_close(output.alpha, theirs.rim(mattes))


def test_two_classes_must_be_told_apart_by_who_converts() -> None:
    state = on_meta("r34", "FT")
    with pytest.raises(ValueError, match="is of variant FT or BT, say which: variant=FT"):
        convert(state)
    assert convert(state, "BT")[0]["variant"] == "BT"
    with pytest.raises(ValueError, match="is of variant FT or BT, variant=TT was said"):
        convert(state, "TT")
    with pytest.raises(ValueError, match="is of variant TT, variant=BT was said"):
        convert(on_meta("r34"), "BT")


def test_faulty_checkpoints_are_named() -> None:
    with pytest.raises(ValueError, match=r"none of encoder6.* among its 1 keys weight"):
        convert({"weight": torch.zeros(1)})
    state = on_meta("r34")
    state["psp9.0.what"] = state.pop("decoder2_f.3.bias")
    state["bridge_block.0.bias"] = torch.zeros(3, device="meta")
    with pytest.raises(ValueError) as caught:
        convert(state)
    message = str(caught.value)
    assert "1 keys missing: focus.levels.2.3.bias" in message
    assert "1 keys unknown: psp9.0.what" in message
    assert "focus.bridge.0.bias: file (3,), model (512,)" in message


def test_command_line_writes_a_file_that_says_what_it_is(tmp_path: Path) -> None:
    state = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in on_meta("d121", "FT").items()}
    torch.save(state, tmp_path / "gfm.pth")
    out = tmp_path / "gfm.safetensors"
    arguments = ["import-weights", "--model", "gfm", "--checkpoint", str(tmp_path / "gfm.pth")]
    main([*arguments, "--option", "variant=FT", "-o", str(out)])
    assert read_description(out)["hparams"] == {"encoder": "d121", "variant": "FT"}
    assert sum(v.numel() for k, v in read_state(out).items() if "running" not in k) > 45_900_000
