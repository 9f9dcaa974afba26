"""The data recipe of a training run: in the field it weighs more than the network."""

from dataclasses import dataclass

#: What a composite is told by, and ``rssn`` may hide; see :mod:`mattingzoo.rssn`.
DISCREPANCIES = ("resolution", "sharpness", "noise")

#: Where training windows are cut.
WINDOWS = ("unknown", "anywhere", "subject")


@dataclass(frozen=True)
class Recipe:
    """How training samples are cut, varied and composed. The defaults are DIM's (CVPR 2017).

    Attributes:
        name: What result files and weights call this recipe.
        crop_size: Side of a training sample in pixels.
        crop_sides: Sides of the windows cut from a picture, drawn uniformly and resized to
            ``crop_size``. A smaller picture is cut at its own shorter side.
        window: Where windows are cut: ``unknown`` centres them on an unknown pixel, ``anywhere`` on
            any, as for models that are given no trimap; ``subject`` puts them around the whole
            subject, whatever the sides, with a margin of 0.1 to 0.4 of its longer side.
        background: ``aligned`` puts the background where the public composition script does, at
            the top left, enlarged if too small; ``random`` cuts any window of it.
        flip: Probability of mirroring left to right.
        rotate: Largest rotation in degrees, either way.
        scale: Largest relative change of size, drawn log-uniformly; 1.25 gives 0.8 to 1.25.
        shear: Largest horizontal shear, pixels across per pixel down.
        combine: Probability of laying a second foreground of the batch behind the first; a batch
            of one sample has none.
        jitter: Strength of brightness, contrast, saturation and hue changes, of foreground and
            background separately; 0 none, 0.2 strong.
        noise: Largest standard deviation of Gaussian noise on the composite, in [0, 1] units.
        degrade: Probability that a background is blurred or JPEG-compressed, as photographs are.
        trimap_kernels: Smallest and largest diameter of the kernels that draw the trimap.
        rssn: Discrepancies between composites and photographs to close, see
            :mod:`mattingzoo.rssn`: ``resolution`` squeezes the whole background to the size of its
            foreground, whatever ``background`` says; ``sharpness`` blurs half of the backgrounds;
            ``noise`` takes the noise out of half of the layers, and adds one field of it to half of
            the composites and their layers.
        avoid_backgrounds: File that names backgrounds not to train on, one file name to a line:
            those with salient objects of their own, the semantic ambiguity of RSSN. None takes all.
    """

    name: str = "dim"
    crop_size: int = 320
    crop_sides: tuple[int, ...] = (320, 480, 640)
    window: str = "unknown"
    background: str = "aligned"
    flip: float = 0.5
    rotate: float = 0.0
    scale: float = 1.0
    shear: float = 0.0
    combine: float = 0.0
    jitter: float = 0.0
    noise: float = 0.0
    degrade: float = 0.0
    trimap_kernels: tuple[int, int] = (1, 29)
    rssn: tuple[str, ...] = ()
    avoid_backgrounds: str | None = None

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise ValueError(f"window must be one of {', '.join(WINDOWS)}, got {self.window!r}")
        if self.background not in ("aligned", "random"):
            raise ValueError(f"background must be 'aligned' or 'random', got {self.background!r}")
        unknown = [name for name in self.rssn if name not in DISCREPANCIES]
        if unknown:
            raise ValueError(f"rssn takes any of {', '.join(DISCREPANCIES)}, got {unknown[0]!r}")
        if self.crop_size < 1:
            raise ValueError(f"crop_size must be at least 1 pixel, got {self.crop_size}")
        if not self.crop_sides or min(self.crop_sides) < 1:
            raise ValueError(f"crop_sides must be 1 pixel or more each, got {self.crop_sides}")
        if self.scale < 1:
            raise ValueError(f"scale must be at least 1, got {self.scale}; 1.25 gives 0.8 to 1.25")
        for name in ("flip", "combine", "degrade"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.jitter <= 1:  # contrast is multiplied by 1 ± jitter
            raise ValueError(f"jitter must lie in [0, 1], got {self.jitter}")
        if not 1 <= self.trimap_kernels[0] <= self.trimap_kernels[1]:
            raise ValueError(
                "trimap_kernels must be two diameters of at least 1 pixel, the smaller first, got "
                f"{self.trimap_kernels}"
            )
