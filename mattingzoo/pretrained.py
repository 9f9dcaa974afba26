"""Starting an encoder from weights trained on ImageNet, which come from files the user names."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mattingzoo.module import MattingModule
from mattingzoo.weights import load_weights, read_state

TIMM = "timm:"
OPTIONAL = "num_batches_tracked"  # older files do not have it, nothing reads it


class StartsFromImageNet(MattingModule):
    """A model whose encoder begins with what another network learnt on ImageNet.

    A subclass names that network in :attr:`pretrained`, gives :meth:`load_encoder`, and calls
    :meth:`start_from` when it is built. A run that would train a random encoder is refused unless
    it was asked for.
    """

    #: What the encoder starts from, torchvision's name and one of timm's; where that depends on the
    #: arguments it is set when the model is built.
    pretrained: tuple[str, str]

    def start_from(
        self, encoder_weights: str | None, init_from: str | None, from_scratch: bool
    ) -> None:
        """Load the weights a run starts from, if any.

        Args:
            encoder_weights: File of the encoder's weights, or ``timm:NAME`` for timm to download
                or to find in its cache.
            init_from: Weights of another run of the same model; instead.
            from_scratch: Permit training to begin with nothing learnt.

        Raises:
            ValueError: If both are given, or do not fit.
            FileNotFoundError: If there is no such file.
        """
        self.may_start = from_scratch
        if encoder_weights and init_from:
            raise ValueError(
                f"init_from={init_from} would overwrite encoder_weights={encoder_weights}; give one"
            )
        if encoder_weights:
            self.load_encoder(encoder_weights)
            self.may_start = True
        if init_from:
            load_weights(self, init_from, allow_missing=self.training_only)

    @abstractmethod
    def load_encoder(self, source: str) -> None:
        """Fill the encoder from a file or from ``timm:NAME``; see :func:`read_encoder`."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights, and note that there are some."""
        self.may_start = True
        return super().load_state_dict(state_dict, strict, assign)

    def on_fit_start(self) -> None:
        """Refuse to train a random encoder that nobody asked for; a resumed run has its weights."""
        if not self.may_start:
            name, of_timm = self.pretrained
            raise ValueError(
                f"{type(self).__name__} starts from a {name} trained on ImageNet, and none was "
                f"given: --model.encoder_weights FILE takes torchvision's {name} as .pth or "
                f".safetensors, timm:{of_timm} downloads it where there is a network; "
                "--model.from_scratch true trains without"
            )


def read_encoder(source: str, left_out: tuple[str, ...] = ("fc.",)) -> dict[str, Tensor]:
    """Weights of a network trained on ImageNet.

    Args:
        source: A file ending in .pth, .pt or .safetensors; or ``timm:NAME``, such as
            ``timm:resnet50.tv_in1k``, for timm to download or to find in its cache.
        left_out: Prefixes of what is not read, such as the classifier.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no weights, or timm cannot give them.
    """
    state = _of_timm(source.removeprefix(TIMM)) if source.startswith(TIMM) else read_state(source)
    return {key: value for key, value in state.items() if not key.startswith(left_out)}


def fill_encoder(encoder: nn.Module, state: Mapping[str, Tensor], source: str, fits: str) -> None:
    """Load weights into an encoder; nothing is left out unseen.

    Args:
        encoder: Encoder to fill.
        state: What :func:`read_encoder` gave, under the encoder's own names.
        source: Where it is from, for messages.
        fits: What would fit, for messages: "a state dict of torchvision.models.resnet50".

    Raises:
        ValueError: If a layer is missing, left over or of another size; the message lists them.
    """
    expected = encoder.state_dict()
    kept = {key: value for key, value in expected.items() if key.endswith(OPTIONAL)}
    state = {**kept, **state}
    faults = [f"has an unknown {key!r}" for key in state if key not in expected]
    faults += [f"has nothing for {key!r}" for key in expected if key not in state]
    faults += [
        f"has shape {tuple(state[key].shape)} for {key!r}, the encoder {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 8} more faults" if len(faults) > 8 else ""
        name = source if source.startswith(TIMM) else Path(source).name
        raise ValueError(
            f"{name} does not fit the encoder: it {'; it '.join(faults[:8])}{more}; give {fits}"
        )
    encoder.load_state_dict(state)


def _of_timm(name: str) -> dict[str, Tensor]:
    import timm  # slow to import, and seldom asked for

    try:
        state: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # of the network, of the hub, of timm: a dozen types
        raise ValueError(
            f"timm cannot give the weights of {name!r} ({type(error).__name__}: {error}); without "
            "a network, fetch torchvision's file elsewhere and give it instead"
        ) from error
    return state
