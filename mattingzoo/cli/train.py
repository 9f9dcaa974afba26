"""`mattingzoo fit|validate|test|predict`: LightningCLI with short names."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from mattingzoo.callbacks import MatteWriter, Panels, RecordModel, Speed
from mattingzoo.cli import names
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.module import MattingModule
from mattingzoo.weights import load_pickle


class ZooCLI(LightningCLI):
    """Adds what every run has: checkpoints on best SAD and last, panels, predictions as files."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the expanded arguments; the inherited one warns that they are not sys.argv."""
        self.config = parser.parse_args(cast(list[str], args))

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Register the callbacks that can be configured by name."""
        parser.add_lightning_class_args(ModelCheckpoint, "best")
        parser.set_defaults(
            {
                "best.monitor": "val_sad",
                "best.mode": "min",
                "best.filename": "best-{epoch}-{val_sad:.3f}",
                "best.save_last": True,
            }
        )
        parser.add_lightning_class_args(ModelCheckpoint, "resume")
        parser.set_defaults(
            {
                "resume.filename": "resume",
                "resume.train_time_interval": timedelta(minutes=5),
                "resume.save_on_exception": True,
                "resume.enable_version_counter": False,
            }
        )
        parser.add_lightning_class_args(Panels, "panels")
        parser.add_lightning_class_args(MatteWriter, "mattes")


def run(arguments: list[str]) -> None:
    """Run one LightningCLI command; ``arguments`` begins with its name."""
    if arguments[0] == "predict" and not any("return_predictions" in a for a in arguments):
        arguments = [*arguments, "--return_predictions=false"]  # MatteWriter has them on disk
    if not any(a.startswith("--weights_only") for a in arguments):
        # Lightning unpickles checkpoints from the network freely unless told not to.
        arguments = [*arguments, "--weights_only=true"]
    check_checkpoint(arguments)
    build(arguments)


def check_checkpoint(arguments: list[str]) -> None:
    """Refuse a checkpoint that cannot be read safely, before anything else is done.

    Raises:
        ValueError: If the file after ``--ckpt_path`` is damaged or holds more than plain data.
    """
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        path = Path(value if equals else following)
        if option == "--ckpt_path" and path.is_file():
            load_pickle(path)


def build(arguments: list[str], execute: bool = True) -> ZooCLI:
    """Parse arguments, build model, data and trainer, and run the command unless told not to."""
    return ZooCLI(
        MattingModule,
        MattingDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={
            "callbacks": [LearningRateMonitor(), RecordModel(), Speed()],
            "logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": "runs"},
            },
        },
        run=execute,
        args=expand(arguments),
    )


def expand(arguments: list[str]) -> list[str]:
    """Replace short names by what jsonargparse understands: paths and class paths."""
    meanings: dict[str, Callable[[str], str]] = {
        "--config": names.find_config,
        "-c": names.find_config,
        "--model": lambda name: _class_path(names.models(), name),
        "--data": _data,
    }
    expanded: list[str] = []
    for position, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        before = arguments[position - 1] if position else ""
        if equals and option in meanings:
            expanded.append(f"{option}={meanings[option](value)}")
        elif before in meanings:
            expanded.append(meanings[before](argument))
        else:
            expanded.append(argument)
    return expanded


def _data(name: str) -> str:
    """The configuration of a data set if there is one, else its class path."""
    if f"data/{name}" in names.configs():
        return names.find_config(f"data/{name}")
    return _class_path(names.datamodules(), name)


def _class_path(known: dict[str, Any], name: str) -> str:
    """Class path of a short name; file paths and class paths pass unchanged."""
    if name in known:
        cls = known[name]
        return f"{cls.__module__.rsplit('.', 1)[0]}.{cls.__qualname__}"
    if "." in name or Path(name).exists():
        return name
    raise ValueError(f"there is no {name!r}; there are {', '.join(sorted(known))}")
