"""Short names: `dim`, `comp1k`, `dim/paper`. The only place that names models and data sets.

A model's name is its folder in ``models/``, a data set's is its file in ``datamodules/``. Both
packages are looked up when asked for, so that the foundation imports nothing above it.
"""

from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.module import MattingModule


def models() -> dict[str, type[MattingModule]]:
    """Model classes by command-line name."""
    return _exported("mattingzoo.models", MattingModule)


def datamodules() -> dict[str, type[MattingDataModule]]:
    """Data set classes by command-line name."""
    return _exported("mattingzoo.datamodules", MattingDataModule)


def find_model(name: str) -> type[MattingModule]:
    """The model class of a name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    cls: type[MattingModule] = _find(name, models(), "model")
    return cls


def find_datamodule(name: str) -> type[MattingDataModule]:
    """The data set class of a name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    cls: type[MattingDataModule] = _find(name, datamodules(), "data set")
    return cls


def model_name(module: MattingModule) -> str:
    """The command-line name of a model."""
    return _name(type(module))


def data_name(data: MattingDataModule) -> str:
    """The command-line name of a data set."""
    return _name(type(data))


def configs() -> list[str]:
    """Names of the configurations that come with the package, such as ``dim/paper``."""
    root = Path(str(files("mattingzoo.configs")))
    return sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.yaml"))


def model_of(class_path: str) -> str | None:
    """The command-line name of a model's class path, whichever module it names; None if unknown."""
    last = class_path.rsplit(".", 1)[-1]
    return next((name for name, cls in models().items() if cls.__qualname__ == last), None)


def find_config(name: str) -> str:
    """Path of a configuration: a file of one's own, or one that comes with the package.

    Raises:
        FileNotFoundError: If it is neither; the message lists the package's.
    """
    if Path(name).is_file():
        return name
    if name in configs():
        return str(Path(str(files("mattingzoo.configs"))) / f"{name}.yaml")
    raise FileNotFoundError(
        f"no file {name!r} and no configuration of that name; there are {', '.join(configs())}"
    )


def _exported(package: str, base: type) -> dict[str, Any]:
    module = import_module(package)
    classes = [getattr(module, name) for name in module.__all__]
    return {_name(c): c for c in classes if isinstance(c, type) and issubclass(c, base)}


def _name(cls: type) -> str:
    return cls.__module__.split(".")[2]


def _find(name: str, known: dict[str, Any], what: str) -> Any:
    if name not in known:
        raise ValueError(f"there is no {what} {name!r}; there are {', '.join(sorted(known))}")
    return known[name]
