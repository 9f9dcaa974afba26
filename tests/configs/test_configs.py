"""Every YAML that comes with the package runs, or at least says all it needs to."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch import Trainer

from mattingzoo.cli.names import configs, datamodules, find_config
from mattingzoo.cli.train import build, expand
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.module import MattingModule

ROOT = Path(__file__).parents[2] / "configs"
EXPERIMENTS = [n for n in configs() if not n.startswith(("trainer/", "logger/", "data/"))]
DATA = [name for name in configs() if name.startswith("data/")]
PRESETS = [name for name in configs() if name.startswith(("trainer/", "logger/"))]

#: Whatever the configuration says, tests build a small one.
SMALL = {
    "adamatting": ["--model.width", "2"],
    "background_matting": ["--model.width", "2"],
    "dim": ["--model.width", "2"],
    "gfm": ["--model.encoder", "tiny"],
    "hattmatting": ["--model.backbone", "tiny", "--model.width", "8"],
    "mmnet": ["--model.width", "0.35"],
    "semat": ["--model.sam", "tiny", "--model.tiny_size", "64"],
}


def test_names_are_the_files() -> None:
    assert set(configs()) == {
        p.relative_to(ROOT).with_suffix("").as_posix() for p in ROOT.rglob("*.yaml")
    }


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_builds_model_data_and_trainer(name: str) -> None:
    stage = ["--model.stage", "1"] if "stage" in name else []
    small = SMALL[name.partition("/")[0]]
    cli = build(["--config", name, *small, *stage, "--trainer.logger", "false"], execute=False)
    assert isinstance(cli.model, MattingModule)
    assert isinstance(cli.datamodule, MattingDataModule)
    assert isinstance(cli.trainer, Trainer)
    assert cli.trainer.max_steps > 0
    assert cli.datamodule.recipe.name != ""


@pytest.mark.parametrize("name", PRESETS)
def test_preset_touches_the_trainer_alone(name: str) -> None:
    content: dict[str, Any] = yaml.safe_load(Path(find_config(name)).read_text())
    assert set(content) == {"trainer"}


def test_data_can_be_swapped_and_keeps_the_recipe() -> None:
    arguments = ["--config", "dim/tiny", "--model.width", "2", "--trainer.logger", "false"]
    cli = build([*arguments, "--data", "comp1k", "--data.root", "somewhere"], execute=False)
    assert type(cli.datamodule).__name__ == "Composition1k"
    assert cli.datamodule.root_argument == "somewhere"
    assert cli.datamodule.recipe.name == "tiny"
    assert cli.datamodule.batch_size == 8


@pytest.mark.parametrize("name", DATA)
def test_data_configuration_names_its_class(name: str) -> None:
    content = yaml.safe_load(Path(find_config(name)).read_text())
    short = name.removeprefix("data/")
    assert content["class_path"].rsplit(".", 1)[-1] == datamodules()[short].__qualname__


def test_every_data_set_with_a_root_has_a_configuration() -> None:
    assert {name.removeprefix("data/") for name in DATA} == set(datamodules()) - {"mixture"}


def test_wandb_is_offline_unless_asked() -> None:
    content = yaml.safe_load(Path(find_config("logger/wandb")).read_text())
    wandb = content["trainer"]["logger"][1]
    assert wandb["class_path"].endswith("WandbLogger")
    assert wandb["init_args"]["offline"] is True


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="dim/paper"):
        expand(["--config", "dim/papre"])
    with pytest.raises(ValueError, match="comp1k"):
        expand(["--data=comp2k"])
    with pytest.raises(ValueError, match="dim"):
        expand(["--model", "dimm"])
