"""`mattingzoo matte` on clips, frame by frame, and what it is told about backgrounds."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from mattingzoo.clips import VIDEO_SUFFIXES, is_video

#: Frames between neighbours of the motion stack; the release of Background Matting takes 20.
MOTION_STEP = 20
GREEN = "00b140"


def add_backgrounds(p: argparse.ArgumentParser) -> None:
    """Add what models with a captured background read, and the options of clips."""
    group = p.add_argument_group("captured background")
    group.add_argument(
        "--background", type=Path,
        help="clean plate: the same view without the subject; for several pictures a folder with "
        "one of the same name each, or one for all",
    )  # fmt: skip
    group.add_argument(
        "--segmentation", type=Path,
        help="rough mask of the subject by any tool, which is softened; a folder or video for a "
        "clip. Default: made of what differs from the background",
    )  # fmt: skip
    group.add_argument(
        "--align", action="store_true",
        help="bring the background to the view of each picture, for a camera that was moved",
    )  # fmt: skip
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
    rate = arguments.rate or (clip.rate if isinstance(clip, VideoFile) else None)
    if rate is None or not rate > 0:
        raise ValueError(f"--rate must be positive, got {arguments.rate}")
    sound = source if isinstance(clip, VideoFile) else None
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
    notes = [job.damage.note(), *job.notes, *(writer.note() for writer in writers.values())]
    for sentence in dict.fromkeys(filter(None, notes)):
        print(f"note: {sentence}")
    if score is not None:
        print(f"dtSSD {float(score.errors()[0]):.5f} (plain, mean over {job.count - 1} pairs)")
    written = ", ".join(str(path) for path in targets.values() if path is not None)
    print(f"{job.count} frames at {rate:g} a second -> {written}")


class _Job:
    """One clip, one model.

    Attributes:
        count: Frames written.
        damage: What was wrong with the clip's frames.
        notes: What else to know.
    """

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

    @property
    def notes(self) -> list[str]:
        """What the plate has to say."""
        return [] if self.plate is None else [self.plate.note()]

    def run(self, writers: dict[str, Any], score: Any) -> None:
        """Matte every frame under a progress bar; one frame is in memory besides its neighbours."""
        import torch
        from rich.progress import track

        from mattingzoo.inference import composite_over, cut_out, predict_with_extras
        from mattingzoo.video import whole_frames, with_motion

        step = self.arguments.motion_step if "motion" in self.module.inputs else None
        frames = with_motion(whole_frames(self.clip, self.damage), step)
        masks, truths = self._masks(), _gray(self.arguments.alpha, len(self.clip), "alpha")
        total = len(self.clip)
        for image, motion in track(frames, "matting", total=total):
            guides = self._guides(image, next(masks), motion)
            matte, extras = predict_with_extras(self.module, self.fabric, image, guides=guides)
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
        masks = _gray(self.arguments.segmentation, len(self.clip), "segmentation")
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
    for option in ("trimap", "extras"):
        if getattr(arguments, option):
            raise ValueError(f"--{option} belongs to pictures, not to a clip; leave it out")
    if arguments.motion_step < 1:
        raise ValueError(f"--motion-step must be at least 1 frame, got {arguments.motion_step}")
    if "captured_background" in module.inputs and arguments.background is None:
        raise ValueError(f"{arguments.model} needs a clean plate; give it with --background")


def _gray(path: Path | None, count: int, option: str) -> Iterator[Any]:
    """Gray frames of a clip that goes with another, one at a time, the last for what is beyond."""
    from mattingzoo.clips import open_clip

    if path is None:
        return iter(())
    clip = open_clip(path)
    if len(clip) not in (1, count):
        raise ValueError(
            f"--{option} {path} has {len(clip)} frames, the clip {count}; give one for each, or one"
        )
    return chain(_gray_frames(clip), repeat(clip.gray([len(clip) - 1])[0]))


def _gray_frames(clip: Any) -> Iterator[Any]:
    from mattingzoo.clips import VideoFile
    from mattingzoo.io import BadFileError

    if isinstance(clip, VideoFile):  # looking frames up one by one would decode them many times
        for _, frame in clip.stream():
            if isinstance(frame, BadFileError):
                raise frame
            yield frame[..., 0]
    else:
        yield from (clip.gray([number])[0] for number in range(len(clip)))


def _over(text: str) -> Any:
    """A colour [1, 1, 3] or a picture [H, W, 3]."""
    import numpy as np

    from mattingzoo.io import read_rgb

    code = text.removeprefix("#")
    if len(code) == 6 and not set(code.lower()) - set("0123456789abcdef"):
        return np.frombuffer(bytes.fromhex(code), np.uint8).reshape(1, 1, 3)
    return read_rgb(Path(text))
