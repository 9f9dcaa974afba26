"""`mattingzoo matte` on clips, frame by frame."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any

from mattingzoo.cli.backgrounds import predict
from mattingzoo.clips import VIDEO_SUFFIXES, is_video

#: Frames between neighbours of the motion stack; the release of Background Matting takes 20.
MOTION_STEP = 20
GREEN = "00b140"
#: Frames by which a video may be wrong about its own length.
SLACK = 2


def add_clips(p: argparse.ArgumentParser) -> None:
    """Add the options of clips."""
    group = p.add_argument_group(
        f"clips, videos ({', '.join(VIDEO_SUFFIXES)}) or folders of frames with --rate; --out and "
        "--cutout then take a video file, or a folder for PNGs"
    )
    group.add_argument(
        "--rate", type=float, help="frames per second: takes a folder for the frames of one clip"
    )
    group.add_argument("--composite", type=Path, help="also write the subject over --over")
    group.add_argument(
        "--over", default=GREEN,
        help=f"colour as RRGGBB, or a picture, to put the subject over (default: {GREEN})",
    )  # fmt: skip
    group.add_argument("--alpha", type=Path, help="true mattes, to report dtSSD")
    group.add_argument(
        "--motion-step", type=int, default=MOTION_STEP,
        help=f"frames between neighbours that show motion (default: {MOTION_STEP})",
    )  # fmt: skip


def is_clip(arguments: argparse.Namespace) -> bool:
    """Whether what is to be matted is a clip, not pictures.

    Raises:
        ValueError: If there is more than one clip, or an option of clips is given for pictures.
    """
    images: list[Path] = arguments.images
    clip = arguments.rate is not None or any(map(is_video, images))
    if clip and len(images) > 1:
        raise ValueError(f"clips are matted one by one, got {len(images)}; run it for each")
    given = [name for name in ("composite", "alpha") if getattr(arguments, name) is not None]
    if given and not clip:
        raise ValueError(f"--{given[0]} belongs to a clip: a video, or a folder with --rate")
    return clip


def run(arguments: argparse.Namespace, module: Any, fabric: Any) -> None:
    """Matte a clip and say what came of it."""
    from mattingzoo.clips import VideoFile, open_clip
    from mattingzoo.encode import open_writer
    from mattingzoo.metrics import ClipScore

    source: Path = arguments.images[0]
    _check(arguments, module)
    clip = open_clip(source)
    rate = clip.rate if isinstance(clip, VideoFile) else arguments.rate
    sound = source if is_video(source) else None
    targets = {
        "matte": arguments.out or source.with_name(f"{source.stem}_alpha"),
        "cutout": arguments.cutout,
        "composite": arguments.composite,
    }
    score = None if arguments.alpha is None else ClipScore()
    job = _Job(arguments, module, fabric, clip)
    with ExitStack() as stack:
        writers = {
            kind: stack.enter_context(open_writer(path, rate, sound))
            for kind, path in targets.items()
            if path is not None
        }
        job.run(writers, score)
    notes = [*job.notes(), *(writer.note() for writer in writers.values())]
    for sentence in dict.fromkeys(filter(None, notes)):
        print(f"note: {sentence}")
    if score is not None:
        print(f"dtSSD {float(score.errors()[0]):.5f} (plain, mean over {job.count - 1} pairs)")
    written = ", ".join(str(path) for path in targets.values() if path is not None)
    print(f"{job.count} frames at {rate:g} a second -> {written}")


class _Job:
    """One clip, one model; ``count`` frames are written."""

    def __init__(self, arguments: argparse.Namespace, module: Any, fabric: Any, clip: Any) -> None:
        from mattingzoo.inference import Plate
        from mattingzoo.io import read_rgb
        from mattingzoo.video import Damage

        self.arguments, self.module, self.fabric, self.clip = arguments, module, fabric, clip
        self.count = 0
        self.damage = Damage()
        self.plate = None
        if arguments.background is not None:
            self.plate = Plate(read_rgb(arguments.background), arguments.align)
        self.over = _over(arguments.over)

    def notes(self) -> list[str]:
        """What there is to know besides the mattes; some may be empty."""
        found = [self.damage.note(), "" if self.plate is None else self.plate.note()]
        if len(self.clip) - self.count > SLACK:
            found.append(
                f"{self.clip.path} states {len(self.clip)} frames, {self.count} can be decoded"
            )
        return found

    def run(self, writers: dict[str, Any], score: Any) -> None:
        """Matte every frame under a progress bar; one frame is in memory besides its neighbours."""
        import torch
        from rich.progress import track

        from mattingzoo.inference import composite_over, cut_out
        from mattingzoo.video import whole_frames, with_motion

        step = self.arguments.motion_step if "motion" in self.module.inputs else None
        frames = with_motion(whole_frames(self.clip, self.damage), step)
        masks, truths = self._masks(), iter(())
        if score is not None:
            truths = _gray(self.arguments.alpha, self.clip, "alpha")
        total = len(self.clip)
        for image, motion in track(frames, "matting", total=total):
            guides = self._guides(image, next(masks), motion)
            matte, extras = predict(self.arguments, self.module, self.fabric, image, guides=guides)
            writers["matte"].write(matte)
            if "cutout" in writers or "composite" in writers:
                cutout = cut_out(image, matte, extras.get("foreground"))
                if "cutout" in writers:
                    writers["cutout"].write(cutout)
                if "composite" in writers:
                    writers["composite"].write(composite_over(cutout, self.over))
            if score is not None:
                score.add(*(torch.from_numpy(p.copy())[None, None] for p in (matte, next(truths))))
            self.count += 1

    def _masks(self) -> Iterator[Any]:
        """A soft segmentation for every frame, or None if it has to be made of a difference."""
        from mattingzoo.segmentation import soften

        if self.arguments.segmentation is None:
            return repeat(None)
        masks = _gray(self.arguments.segmentation, self.clip, "segmentation")
        return (soften(mask) for mask in masks)

    def _guides(self, image: Any, mask: Any, motion: Any) -> dict[str, Any]:
        guides = {"segmentation": mask, "motion": motion}
        if self.plate is not None:
            guides["captured_background"] = self.plate.under(image, mask)
        return {key: picture for key, picture in guides.items() if picture is not None}


def _check(arguments: argparse.Namespace, module: Any) -> None:
    """Refuse what a clip cannot have, before anything is computed."""
    if module.prompts:
        raise ValueError(f"{arguments.model} is told its object in one picture; choose another")
    if arguments.rate is not None and is_video(arguments.images[0]):
        raise ValueError("--rate is for folders of frames; a video says its own, leave it out")
    if arguments.rate is not None and not arguments.rate > 0:
        raise ValueError(f"--rate must be positive, got {arguments.rate:g}")
    for option in ("trimap", "extras", "box", "point"):
        if getattr(arguments, option):
            raise ValueError(f"--{option} belongs to pictures, not to a clip; leave it out")
    if "captured_background" in module.inputs and arguments.background is None:
        raise ValueError(f"{arguments.model} needs a clean plate; give it with --background")


def _gray(path: Path, clip: Any, option: str) -> Iterator[Any]:
    """Gray frames [H, W] of a clip that goes with another, the last one for all that is beyond.

    Raises:
        ValueError: If they differ in length, by more than a video is wrong about its own.
    """
    from mattingzoo.clips import VideoFile, open_clip

    other = open_clip(path)
    stated = any(isinstance(one, VideoFile) for one in (clip, other))
    if len(other) > 1 and abs(len(other) - len(clip)) > (SLACK if stated else 0):
        raise ValueError(
            f"--{option} {path} has {len(other)} frames, the clip {len(clip)}; give one for each, "
            "or one for all"
        )
    return _gray_frames(other)


def _gray_frames(clip: Any) -> Iterator[Any]:
    from mattingzoo.clips import VideoFile
    from mattingzoo.io import BadFileError

    last: Any = None
    if isinstance(clip, VideoFile):  # looking frames up one by one would decode them many times
        for _, frame in clip.stream():
            if isinstance(frame, BadFileError):
                raise frame
            last = frame[..., 0]
            yield last
    else:
        for number in range(len(clip)):
            (last,) = clip.gray([number])
            yield last
    while True:
        yield last


def _over(text: str) -> Any:
    """A colour [1, 1, 3] or a picture [H, W, 3]."""
    import numpy as np

    from mattingzoo.io import read_rgb

    code = text.removeprefix("#")
    if len(code) == 6 and not set(code.lower()) - set("0123456789abcdef"):
        return np.frombuffer(bytes.fromhex(code), np.uint8).reshape(1, 1, 3)
    return read_rgb(Path(text))
