"""Where captured footage lies: the layout of one's own, and that of the public release."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mattingzoo.clips import VIDEO_SUFFIXES, Clip, FrameFiles, VideoFile, is_video, open_clip
from mattingzoo.datamodules._pairs import contents, require_folders, require_partners
from mattingzoo.io import SUFFIXES, Picture, bad_file, list_images, some
from mattingzoo.source import Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")
#: The release's list of what to train on.
INDEX = "Video_data_train.csv"

#: Folders of a layout of one's own, by contract key; the last two need not be there.
REQUIRED = ("image", "captured_background")
OPTIONAL = ("segmentation", "alpha")

#: Endings of the release's pictures, by contract key.
ENDINGS = {"image": "_img", "captured_background": "_back", "segmentation": "_masksDL"}


@dataclass(frozen=True)
class Take:
    """A still, or a clip, with all that lies over it.

    Attributes:
        name: Unique within a data set.
        image: The frames.
        background: The clean plate: one for all frames, or one for each.
        segmentation: For each frame, if there is one.
        alpha: The truth for each frame, if there is one.
        motion: The four neighbours of the one frame, where they are stated; None finds them.
        rough: Whether the segmentation is a mask that is still to be softened.
    """

    name: str
    image: Clip
    background: Clip
    segmentation: Clip | None = None
    alpha: Clip | None = None
    motion: Clip | None = None
    rough: bool = False

    def layers(self) -> dict[str, Clip]:
        """Clips that lie over the image, by contract key, the image first."""
        found = {
            "image": self.image,
            "captured_background": self.background,
            "segmentation": self.segmentation,
            "alpha": self.alpha,
        }
        return {key: clip for key, clip in found.items() if clip is not None}

    def alpha_of(self, number: int) -> Picture:
        """The matte of a frame [H, W]."""
        assert self.alpha is not None
        return self.alpha.gray([number])[0]

    def number_in(self, clip: Clip, number: int) -> int:
        """Which frame of a layer belongs to a frame of the image."""
        return 0 if len(clip) == 1 else number


def find_takes(root: Path, split: Split, subset: str = "fixed-camera") -> list[Take]:
    """The stills and clips of one split, in whichever layout they lie.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If there is no such split.
    """
    if is_release(root):
        return _released(root, split, subset)
    present = [name for name in SPLITS if (root / name).is_dir()]
    if present and split not in present:
        raise ValueError(
            f"{root} has the splits {' and '.join(present)}, no {split!r}; make {root / split}"
        )
    return own_takes(root / split if present else root)


def splits_of(root: Path) -> list[Split]:
    """Splits that are there; ``test`` alone stands for a root without splits."""
    if is_release(root):
        captured = (root / INDEX).is_file() or (root / "Captured_Data").is_dir()
        stills: list[Split] = ["test"] if (root / "sample_data").is_dir() else []
        return ["train", *stills] if captured else stills
    return [name for name in SPLITS if (root / name).is_dir()] or ["test"]


def own_takes(root: Path) -> list[Take]:
    """Stills and clips of ``image/`` with their partners of the same names in other folders.

    ``image/cat.jpg`` is a still, ``image/walk/`` a clip of frames, ``image/walk.mp4`` a clip in a
    video file. The plate of ``walk`` is ``captured_background/walk.png``, or for each frame one in
    ``captured_background/walk/``; ``segmentation/`` and ``alpha/`` have a partner for each frame.

    Raises:
        FileNotFoundError: If a folder is missing or empty, or a partner lacks.
        ValueError: If two entries have one name, or a clip and its partner differ in their frames.
    """
    require_folders(root, REQUIRED)
    keys = [*REQUIRED, *(key for key in OPTIONAL if (root / key).is_dir())]
    entries = {key: _entries(root / key) for key in keys}
    names = entries["image"]
    if not names:
        raise FileNotFoundError(
            f"{root / 'image'} holds no footage; expected pictures, folders of frames or videos "
            f"({', '.join(VIDEO_SUFFIXES)}); found {contents(root / 'image')}"
        )
    require_partners(
        root, [f"{k}/{name}" for k in keys for name in names if name not in entries[k]]
    )
    takes = [_own_take(name, {key: entries[key][name] for key in keys}) for name in names]
    for take in takes:
        check_frames(take)
    return takes


def released_clips(folder: Path) -> list[Take]:
    """Clips of ``Captured_Data/fixed-camera/train``: ``CLIP/NNNN_img.png`` and ``CLIP.png``.

    The plate is ``CLIP.png`` beside the clip, or for each frame ``CLIP/NNNN_back.png``.

    Raises:
        FileNotFoundError: If there is no clip, or a clip lacks a file.
    """
    clips = [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    if not clips:
        raise FileNotFoundError(
            f"{folder} holds no clips; expected CLIP/NNNN_img.png and CLIP.png; found "
            f"{contents(folder)}"
        )
    return [_released_take(clip.name, clip, released_shots(clip)) for clip in clips]


def released_stills(folder: Path) -> list[Take]:
    """Stills of ``sample_data/input``: ``NNNN_img.png``, ``NNNN_back.png``, ``NNNN_masksDL.png``.

    Raises:
        FileNotFoundError: If there is none, or a picture lacks a partner.
    """
    shots = released_shots(folder)
    return [_released_take(stem, folder, {stem: files}) for stem, files in shots.items()]


def released_shots(folder: Path) -> dict[str, dict[str, Path]]:
    """The pictures ``NNNN_img``, ``_back`` and ``_masksDL`` of a folder by NNNN and key, sorted.

    Raises:
        FileNotFoundError: If there is none.
    """
    shots: dict[str, dict[str, Path]] = {}
    for path in list_images(folder):
        for key, ending in ENDINGS.items():
            if path.stem.endswith(ending):
                shots.setdefault(path.stem.removesuffix(ending), {})[key] = path
    shots = {stem: files for stem, files in shots.items() if "image" in files}
    if not shots:
        raise FileNotFoundError(
            f"{folder} holds no NNNN_img pictures; found {contents(folder)}; pass the folder of "
            "the release as root"
        )
    return shots


def listed_shots(index: Path) -> list[Take]:
    """The rows of ``Video_data_train.csv``: image; plate; mask; four later frames; new background.

    There is no header line. Paths are absolute or relative to the file.

    Raises:
        mattingzoo.io.BadFileError: If the file is not such a list, or names what is not there.
    """
    takes = []
    for row in read_rows(index, (7, 8), index.parent):
        image, plate, mask, *later = (FrameFiles([path]) for path in row[:7])
        motion = FrameFiles([clip.path for clip in later])
        frame = image.path.stem.removesuffix(ENDINGS["image"])
        name = f"{image.path.parent.name}_{frame}"
        takes.append(Take(name, image, plate, mask, motion=motion, rough=True))
    return takes


def read_rows(index: Path, columns: Sequence[int], base: Path) -> list[list[Path]]:
    """Rows of a list of the release: paths between semicolons, absolute or relative.

    Args:
        index: The list; there is no header line.
        columns: How many paths a row may have.
        base: What relative paths are relative to.

    Raises:
        mattingzoo.io.BadFileError: If the file is not such a list, or names what is not there.
    """
    remedy = "take it from the release, or make it with its prepare_real.py"
    expected = f"{' or '.join(map(str, columns))} paths to a line, between semicolons"
    try:
        text = index.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise bad_file(index, str(error), expected, remedy) from error
    rows = [row for row in csv.reader(text.splitlines(), delimiter=";") if row]
    wrong = [str(n) for n, row in enumerate(rows, start=1) if len(row) not in columns]
    if wrong or not rows:
        found = f"line {some(wrong)} of another kind" if wrong else "no line"
        raise bad_file(index, found, expected, remedy)
    paths = [[base / cell.strip() for cell in row] for row in rows]
    lacking = [str(p) for p in dict.fromkeys(chain.from_iterable(paths)) if not p.is_file()]
    if lacking:
        found = f"it names {some(lacking, 3)}, not there"
        raise bad_file(index, found, f"paths of this machine, or relative to {base}", "correct it")
    return paths


def check_frames(take: Take) -> None:
    """Refuse layers that do not have a frame for each of the image.

    Raises:
        ValueError: Naming both.
    """
    for key, clip in take.layers().items():
        if key == "captured_background" and len(clip) == 1:
            continue
        if len(clip) != len(take.image):
            one = " or 1" if key == "captured_background" else ""
            raise ValueError(
                f"{clip.path} has {len(clip)} frames; expected {len(take.image)}{one} as "
                f"{take.image.path}; make one {key} for each frame"
            )
        files = isinstance(clip, FrameFiles) and isinstance(take.image, FrameFiles)
        if files and len(clip) > 1 and clip.frame_names != take.image.frame_names:
            strange = sorted(set(clip.frame_names) - set(take.image.frame_names))
            raise ValueError(
                f"{clip.path} holds {some(strange, 3)}, which {take.image.path} does not; "
                "give frames and their partners the same names"
            )


def is_release(root: Path) -> bool:
    """Whether footage lies as in the public release."""
    return (root / INDEX).is_file() or any(
        (root / name).is_dir() for name in ("Captured_Data", "sample_data")
    )


def _released(root: Path, split: Split, subset: str) -> list[Take]:
    if split == "val":
        raise ValueError(
            f"{root} is the release of Background Matting, which has nothing to validate on; "
            "train with --trainer.limit_val_batches 0, or lay out footage with alpha/ as val/"
        )
    if split == "test":
        return released_stills(root / "sample_data" / "input")
    if (root / INDEX).is_file():
        return listed_shots(root / INDEX)
    return released_clips(root / "Captured_Data" / subset / "train")


def _own_take(name: str, paths: Mapping[str, Path]) -> Take:
    clips = {key: open_clip(path) for key, path in paths.items()}
    background = clips["captured_background"]
    if isinstance(background, VideoFile) and len(background) != len(clips["image"]):
        raise ValueError(
            f"{background.path} has {len(background)} frames, {paths['image']} has "
            f"{len(clips['image'])}; give the plate as one picture"
        )
    return Take(name, clips["image"], background, clips.get("segmentation"), clips.get("alpha"))


def _released_take(name: str, folder: Path, shots: Mapping[str, Mapping[str, Path]]) -> Take:
    """A take of the release, whose plate may lie beside its folder."""
    plate = next((p for s in SUFFIXES if (p := folder.with_name(folder.name + s)).is_file()), None)
    files: dict[str, list[Path]] = {}
    lacking = []
    for key, ending in ENDINGS.items():
        files[key] = [shot[key] for shot in shots.values() if key in shot]
        if len(files[key]) < len(shots) and (files[key] or key == "captured_background"):
            if key == "captured_background" and plate is not None:
                files[key] = [plate]
            else:
                lacking += [f"{stem}{ending}" for stem, shot in shots.items() if key not in shot]
    require_partners(folder, lacking)
    masks = FrameFiles(files["segmentation"]) if files["segmentation"] else None
    image, background = FrameFiles(files["image"]), FrameFiles(files["captured_background"])
    return Take(name, image, background, masks, rough=True)


def _entries(folder: Path) -> dict[str, Path]:
    """Pictures, videos and folders by the name that partners share, sorted."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() or is_video(path) or path.suffix.lower() in SUFFIXES:
            name = path.name if path.is_dir() else path.stem
            if name in found:
                raise ValueError(
                    f"{folder} holds {found[name].name} and {path.name}; expected one of a name, "
                    "remove the other"
                )
            found[name] = path
    return dict(sorted(found.items()))
