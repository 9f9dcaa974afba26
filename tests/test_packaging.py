"""The mapping from folders to import names, and the traps of this layout."""

import re
import tomllib
from pathlib import Path

import mattingzoo

ROOT = Path(__file__).parents[1]
TOP = {"models": "mattingzoo.models", "datamodules": "mattingzoo.datamodules"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    found = set()
    for folder in ("mattingzoo", "models", "datamodules", "configs"):
        for init in (ROOT / folder).rglob("__init__.py"):
            name = ".".join(init.parent.relative_to(ROOT).parts)
            found.add(name if name.startswith("mattingzoo") else f"mattingzoo.{name}")
    return found


def test_packages_lists_every_folder() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_every_package_folder_has_an_init() -> None:
    for folder in ("mattingzoo", "models", "datamodules"):
        for file in (ROOT / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), file


def test_no_bare_imports_of_the_top_level_folders() -> None:
    bare = re.compile(r"^\s*(?:from|import)\s+(models|datamodules|configs)\b", re.MULTILINE)
    for file in ROOT.rglob("*.py"):
        if ".venv" in file.parts or "build" in file.parts:
            continue
        assert not bare.search(file.read_text()), f"{file}: say mattingzoo.{bare}"


def test_foundation_imports_nothing_above_it() -> None:
    above = re.compile(r"mattingzoo\.(models|datamodules|configs)")
    for file in (ROOT / "mattingzoo").rglob("*.py"):
        if "cli" in file.relative_to(ROOT).parts:
            continue
        imports = [line for line in file.read_text().splitlines() if "import " in line]
        assert not [line for line in imports if above.search(line)], file


def test_models_and_datamodules_do_not_know_each_other() -> None:
    for folder, other in (("models", "datamodules"), ("datamodules", "models")):
        for file in (ROOT / folder).rglob("*.py"):
            assert f"mattingzoo.{other}" not in file.read_text(), file
    for file in (ROOT / "models").glob("*/*.py"):
        others = re.findall(r"mattingzoo\.models\.([a-z]\w*)", file.read_text())
        assert set(others) <= {file.parent.name}, file


def test_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == mattingzoo.__version__


def test_shipped_weights_are_small() -> None:
    for file in (ROOT / "models").rglob("*.safetensors"):
        assert file.stat().st_size <= 4 * 2**20, file
