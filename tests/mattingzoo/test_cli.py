"""The command line, from `--help` to a killed and resumed training."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mattingzoo.cli import main
from mattingzoo.io import read_gray, read_rgba, write_png
from mattingzoo.models import DIM
from mattingzoo.weights import read_description, save_weights

HPARAMS = {"width": 2, "convs": [1, 1, 1, 1, 1], "conv6": "conv1"}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = DIM(**HPARAMS)  # type: ignore[arg-type]
    return save_weights(model, tmp_path / "w.safetensors", {"model": "dim", "hparams": HPARAMS})


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Path, Path]:
    """A red disc on blue, and its trimap; names with blanks, an odd size."""
    y, x = np.mgrid[:45, :61]
    distance = np.hypot(y - 22, x - 30)
    image = np.where(distance[..., None] < 15, [220, 30, 20], [20, 40, 200]).astype(np.uint8)
    trimap = np.select([distance < 12, distance > 18], [255, 0], 128).astype(np.uint8)
    paths = tmp_path / "my photo.png", tmp_path / "my trimap.png"
    write_png(paths[0], image)
    write_png(paths[1], trimap)
    return paths


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for command in (
        "fit",
        "validate",
        "test",
        "predict",
        "matte",
        "data",
        "import-weights",
        "list",
    ):
        assert command in shown


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) is None  # type: ignore[func-returns-value]
    shown = capsys.readouterr().out
    for name in ("dim", "closed-form", "comp1k", "synthetic", "dim/paper", "trainer/ddp"):
        assert name in shown


def test_matte_and_cutout(
    tmp_path: Path, photo: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, trimap = photo
    out, cutout = tmp_path / "a" / "alpha.png", tmp_path / "cut.png"
    arguments = [str(image), "--trimap", str(trimap), "--weights", str(weights), "--device", "cpu"]
    main(["matte", *arguments, "-o", str(out), "--cutout", str(cutout)])
    alpha, known = read_gray(out), read_gray(trimap)
    assert (alpha[known == 255] == 255).all() and (alpha[known == 0] == 0).all()
    colour, opacity = read_rgba(cutout)
    assert (opacity == alpha).all()
    # Estimated colours: the red of the disc, not the blue it lies on.
    assert np.abs(colour[22, 30].astype(int) - [220, 30, 20]).max() < 12


def test_matte_goes_beside_the_picture(photo: tuple[Path, Path], weights: Path) -> None:
    image, trimap = photo
    main(["matte", str(image), "--trimap", str(trimap), "--weights", str(weights)])
    assert image.with_name("my photo_alpha.png").exists()


def test_matte_of_a_folder_goes_on_after_a_bad_file(
    tmp_path: Path, photo: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, trimaps = tmp_path / "in", tmp_path / "tri"
    for name in ("a", "b", "c"):
        write_png(make(folder) / f"{name}.png", cv2.imread(str(photo[0]))[..., ::-1])
        write_png(make(trimaps) / f"{name}.png", read_gray(photo[1]))
    (folder / "b.png").write_bytes(b"not a picture")
    arguments = [str(folder), "--trimap", str(trimaps), "--weights", str(weights)]
    error = fails(["matte", *arguments, "-o", str(tmp_path / "out")], capsys)
    assert "1 of 3 pictures failed" in error and "b.png" in error
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a_alpha.png", "c_alpha.png"}


def test_matte_of_several_boxes(tmp_path: Path, photo: tuple[Path, Path]) -> None:
    image, _ = photo
    arguments = ["matte", str(image), "--model", "box"]
    main([*arguments, "--box", "2,3,10,12", "-o", str(tmp_path / "one.png")])
    alpha = read_gray(tmp_path / "one.png")
    assert (alpha[3:12, 2:10] == 255).all() and (alpha == 255).sum() == 9 * 8
    main([*arguments, "--box", "2,3,10,12", "--box", "0,0,5,5", "-o", str(tmp_path)])
    first, second = (read_gray(tmp_path / f"my photo_alpha_{n}.png") for n in (1, 2))
    assert (first == alpha).all() and (second == 255).sum() == 25


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "box"], "box needs to be told the object; give --box"),
        (["--model", "box", "--point", "3,3"], "cannot be prompted by points, it takes box"),
        (["--model", "dim", "--box", "1,1,5,5"], "DIM cannot be prompted by box, it takes none"),
        (["--model", "box", "--box", "1,1,5,5", "--point", "3,3"], "cannot be mixed"),
        (["--model", "box", "--box", "1,1,5,999"], "is no box of a picture of"),
        (["--model", "box", "--box", "5,1,5,9"], "is no box of a picture of"),
    ],
)
def test_prompts_that_do_not_fit(
    photo: tuple[Path, Path],
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert expected in fails(["matte", str(photo[0]), *arguments], capsys)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,4,5"])
def test_what_is_no_box_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["matte", "x.png", "--box", text])
    assert "--box" in capsys.readouterr().err


def make(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_matte_mistakes(
    tmp_path: Path, photo: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, trimap = (str(p) for p in photo)
    own = ["--weights", str(weights)]
    assert "DIM needs trimap besides the image" in fails(["matte", image, *own], capsys)
    small = tmp_path / "small.png"
    write_png(small, np.full((10, 20), 128, np.uint8))
    error = fails(["matte", image, "--trimap", str(small), *own], capsys)
    assert "20 x 10 pixels, the image 61 x 45" in error
    arguments = ["matte", image, "--trimap", trimap, *own, "-o", str(tmp_path / "x.jpg")]
    assert "written as .png" in fails(arguments, capsys)
    assert "there is no model 'dimm'" in fails(["matte", image, "--model", "dimm"], capsys)


def test_weights_of_an_unnamed_file_are_refused(
    tmp_path: Path, photo: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.pth"
    torch.save(torch.nn.Linear(1, 1).state_dict(), path)
    error = fails(["matte", str(photo[0]), "--weights", str(path)], capsys)
    assert "import-weights" in error


def test_import_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mattingzoo.models.dim.convert import SOURCES, layer_names

    hparams = {"width": 2, "conv6": "conv1"}
    ours = DIM(**hparams).network.state_dict()  # type: ignore[arg-type]
    theirs = layer_names(SOURCES["open-mmlab/mmagic"])
    renamed = {
        f"{theirs[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in ours.items()
    }
    torch.save({"state_dict": renamed, "meta": {"epoch": 1}}, tmp_path / "mma.pth")
    out = tmp_path / "dim.safetensors"
    arguments = ["--model", "dim", "--checkpoint", str(tmp_path / "mma.pth"), "-o", str(out)]
    main(["import-weights", *arguments])
    assert read_description(out)["variant"] == "imported"
    from mattingzoo.cli.load import load_model

    loaded = load_model("dim", str(out)).module.state_dict()
    assert all(torch.equal(loaded[f"network.{key}"], value) for key, value in ours.items())
    renamed["extra.weight"] = torch.zeros(1)
    torch.save({"state_dict": renamed}, tmp_path / "mma.pth")
    assert "extra.weight is unknown" in fails(["import-weights", *arguments], capsys)


def test_data_check_and_compose_say_what_they_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    error = fails(["data", "check", "synthetic", "--root", "x"], capsys)
    assert "nothing to check in synthetic" in error


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:You.re using the WeightAveraging callback")
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_fit_validate_test_predict_export_and_use(
    tmp_path: Path, photo: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--config", "dim/tiny", "--data", "synthetic", "--data.size", "64"]
    common += ["--model.width", "2", "--data.num_workers", "0", "--data.limit", "2"]
    common += ["--data.batch_size", "2", "--data.length", "6", "--trainer.accelerator", "cpu"]
    crops = ["--data.recipe.crop_size", "32", "--data.recipe.crop_sides", "[32]"]
    steps = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2"]
    steps += ["--trainer.log_every_n_steps", "1"]
    main(["fit", *common, *crops, *steps, "--trainer.logger.version", "run"])
    folder = tmp_path / "runs" / "lightning_logs" / "run"
    assert (folder / "config.yaml").exists()
    assert "images_per_second" in (folder / "metrics.csv").read_text()
    assert len(list((folder / "panels").glob("*.png"))) == 1
    checkpoint = folder / "checkpoints" / "last.ckpt"
    for command in ("validate", "test"):
        main([command, *common, "--ckpt_path", str(checkpoint), "--trainer.logger", "false"])
    main(["predict", *common, "--ckpt_path", str(checkpoint), "--mattes.out", "mattes"])
    mattes = sorted((tmp_path / "mattes").iterdir())
    assert len(mattes) == 2 and read_gray(mattes[0]).shape == (64, 64)
    exported = tmp_path / "w.safetensors"
    main(["export-weights", "--checkpoint", str(checkpoint), "-o", str(exported), "--half"])
    description = read_description(exported)
    assert description["model"] == "dim" and description["data"] == "Synthetic"
    assert description["recipe"]["name"] == "tiny"
    arguments = [str(photo[0]), "--trimap", str(photo[1]), "--weights", str(exported)]
    main(["matte", *arguments, "-o", str(tmp_path / "alpha.png")])
    assert (tmp_path / "alpha.png").exists()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_whole_numbers_of_batches_stay_whole(tmp_path: Path) -> None:
    """In a process of its own: what is imported first decides how `int | float` is read."""
    script = Path(sys.executable).with_name("mattingzoo")
    arguments = ["fit", "--config", "dim/tiny", "--trainer.limit_val_batches", "1"]
    command = [str(script), *arguments, "--print_config"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "limit_val_batches: 1\n" in shown


def test_truncated_checkpoint_gets_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.ckpt"
    path.write_bytes(b"PK\x03\x04 and no more")
    error = fails(["test", "--config", "dim/tiny", "--ckpt_path", str(path)], capsys)
    assert "cut.ckpt cannot be loaded safely" in error and "truncated" in error


class Evil:
    """Runs a command when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_checkpoint_with_code_in_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "extra": Evil()}, "evil.ckpt")
    error = fails(["test", "--config", "dim/tiny", "--ckpt_path=evil.ckpt"], capsys)
    assert "could run code" in error
    assert not (tmp_path / "ran").exists()


def test_matte_refuses_what_would_be_lost(
    tmp_path: Path, photo: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--trimap", str(photo[1]), "--weights", str(weights)]
    twice = [str(make(tmp_path / n) / "same.png") for n in ("a", "b")]
    assert "several pictures are named same" in fails(["matte", *twice, *own], capsys)
    two = ["matte", str(photo[0]), str(photo[1]), *own, "-o", str(tmp_path / "x.png")]
    assert "--out must be a folder" in fails(two, capsys)
    assert "no pictures to matte" in fails(["matte", str(make(tmp_path / "e")), *own], capsys)


def test_what_the_trainer_refuses_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    error = fails(["fit", "--config", "dim/tiny", "--trainer.max_time", "00:00:1:0"], capsys)
    assert "`Timer(duration='00:00:1:0')` is not a valid duration" in error
    assert "Traceback" not in error
