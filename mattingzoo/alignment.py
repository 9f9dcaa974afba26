"""Bringing a clean plate to the view of a picture: homography, filled borders, exposure."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mattingzoo.io import Picture

#: Features are found in pictures of at most so many pixels; larger ones are halved until they fit.
LARGEST = 2_000_000
FEATURES = 2500
RATIO = 0.75  # of the distances to the best and the second best match (Lowe, IJCV 2004)
INLIER_PIXELS = 2.0  # how far a match may be off, at the size features are found at
#: What an alignment must reach, else it is refused.
LEAST_INLIERS = 25
LEAST_SHARE = 0.25  # of the matches
LARGEST_ERROR = 1.5  # pixels, median over the inliers
LEAST_OVERLAP = 0.5  # share of the picture that the plate covers

#: Share of the pixels that an exposure is fitted to: the rest may be subject, shadow or glare.
FITTED = 0.6
#: From this mean change of brightness on, in levels of 255, an exposure is warned of.
NOTICEABLE = 4.0


class AlignmentError(ValueError):
    """A plate cannot be brought to the view of a picture; the message says what was found."""


@dataclass(frozen=True)
class Alignment:
    """How a plate lies in the view of a picture, and how far that can be trusted.

    Attributes:
        matrix: Homography [3, 3] from pixels of the plate to pixels of the picture.
        matches: Features found in both.
        inliers: Those that agree with the homography.
        error: Median distance of the inliers from where the homography puts them, in pixels.
        overlap: Share of the picture that the plate covers.
    """

    matrix: NDArray[np.float64]
    matches: int
    inliers: int
    error: float
    overlap: float


class Exposure(NamedTuple):
    """How a picture's brightness follows from its plate's: gain · plate + bias, for each channel.

    Attributes:
        gain: Three factors.
        bias: Three offsets in levels of 255.
        change: Mean absolute change of the plate by both, in levels of 255.
    """

    gain: tuple[float, ...]
    bias: tuple[float, ...]
    change: float


def align(plate: Picture, image: Picture, subject: Picture | None = None) -> Alignment:
    """Find the homography that brings a plate to the view of a picture.

    Features by SIFT, mutual nearest neighbours with Lowe's ratio test, RANSAC. The released Python
    script takes AKAZE, which OpenCV 5 no longer has, and the best 15 % of its matches without any
    test; its authors recommend their MATLAB script with SURF instead (issue 53).

    Args:
        plate: [H', W', 3], 8 bits; it may differ in size.
        image: [H, W, 3], 8 bits.
        subject: Mask [H, W] of what the plate does not show; its features are left out.

    Raises:
        AlignmentError: If the two show too little in common, or disagree.

    Source:
        Sengupta et al., CVPR 2020, section 3, and its released ``test_pre_process.py``.
    """
    source, target, scale = _matches(plate, image, subject)
    if len(source) < LEAST_INLIERS:
        raise AlignmentError(
            f"{len(source)} features of the plate are found in the picture, at least "
            f"{LEAST_INLIERS} are needed; take a plate with texture, of the same scene"
        )
    found, chosen = cv2.findHomography(source, target, cv2.RANSAC, INLIER_PIXELS / scale)
    inliers = np.zeros(len(source), bool) if chosen is None else chosen.ravel() > 0
    count = int(inliers.sum())
    if found is None or count < max(LEAST_INLIERS, LEAST_SHARE * len(source)):
        raise AlignmentError(
            f"{count} of {len(source)} matches agree on where the plate lies, at least "
            f"{LEAST_INLIERS} and {LEAST_SHARE:.0%} are needed; take a plate of the same scene "
            "from the same place"
        )
    matrix = np.asarray(found, np.float64)
    projected = cv2.perspectiveTransform(source[inliers][:, None], matrix)[:, 0]
    error = float(np.median(np.linalg.norm(projected - target[inliers], axis=1)))
    overlap = float(coverage(matrix, plate, image).mean())
    if error > LARGEST_ERROR or overlap < LEAST_OVERLAP:
        raise AlignmentError(
            f"the plate covers {overlap:.0%} of the picture with a median error of {error:.2f} "
            f"pixels, at least {LEAST_OVERLAP:.0%} and at most {LARGEST_ERROR:g} are needed; take "
            "it from the same place, with the same zoom"
        )
    return Alignment(matrix, len(source), count, error, overlap)


def coverage(matrix: NDArray[np.float64], plate: Picture, image: Picture) -> NDArray[np.bool_]:
    """Pixels of the picture [H, W] that lie within the warped plate."""
    inside = np.full(plate.shape[:2], 255, np.uint8)
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpPerspective(inside, matrix, size) == 255)


def warp_plate(
    plate: Picture, image: Picture, matrix: NDArray[np.float64], subject: Picture | None = None
) -> Picture:
    """A plate as the picture's camera would have taken it.

    What the plate does not show takes the picture's own colours, so that it passes for background;
    where the subject is, the colours of the plate as it was taken.

    Args:
        plate: [H', W', 3], 8 bits.
        image: [H, W, 3], 8 bits.
        matrix: From plate to picture, see :class:`Alignment`.
        subject: Mask [H, W] of the subject, 8 bits.

    Returns:
        [H, W, 3], 8 bits.
    """
    size = image.shape[1], image.shape[0]
    warped = cv2.warpPerspective(plate, matrix, size, flags=cv2.INTER_CUBIC)
    fill = image
    if subject is not None:
        unmoved = plate if plate.shape == image.shape else cv2.resize(plate, size)
        fill = np.where(subject[..., None] > 127, unmoved, image)
    return np.asarray(np.where(coverage(matrix, plate, image)[..., None], warped, fill))


def exposure(plate: Picture, image: Picture, subject: Picture | None = None) -> Exposure:
    """Fit gain and bias that bring an aligned plate to the brightness of its picture.

    Least squares for each channel, on the pixels that agree best: fitted anew three times to the
    60 % of least error. Clipped pixels are left out.

    Args:
        plate: [H, W, 3], 8 bits.
        image: [H, W, 3], 8 bits.
        subject: Mask [H, W] of what the plate does not show.
    """
    kept = np.ones(plate.shape[:2], bool) if subject is None else subject < 128
    step = max(1, round((kept.size / 200_000) ** 0.5))  # so many pixels tell it well enough
    source, target = (p[::step, ::step][kept[::step, ::step]].astype(float) for p in (plate, image))
    usable = ((source > 4) & (source < 251) & (target > 4) & (target < 251)).all(axis=1)
    fits = [_fit(source[usable, k], target[usable, k]) for k in range(3)]
    gain, bias = (tuple(float(fit[k]) for fit in fits) for k in (0, 1))
    change = float(np.abs(source * (np.array(gain) - 1) + bias).mean()) if len(source) else 0.0
    return Exposure(gain, bias, change)


def match_exposure(plate: Picture, found: Exposure) -> Picture:
    """The plate [H, W, 3] with gain and bias applied."""
    matched = plate * np.array(found.gain) + np.array(found.bias)
    return np.asarray(matched.round().clip(0, 255), np.uint8)


def _fit(source: NDArray[Any], target: NDArray[Any]) -> tuple[float, float]:
    """Gain and bias; 1 and 0 where there is too little to tell them by."""
    if len(source) < 100:
        return 1.0, 0.0
    # The ratio of the medians is a start that a subject of less than half the picture leaves alone.
    gain, bias = float(np.median(target) / np.median(source)), 0.0
    for _ in range(3):
        error = np.abs(gain * source + bias - target)
        near = error <= np.quantile(error, FITTED)
        x, y = source[near], target[near]
        if x.std() < 2:  # a plain wall tells a factor, but no factor and offset
            return float(y.mean() / x.mean()), 0.0
        gain, bias = (float(value) for value in np.polyfit(x, y, 1))
    return gain, bias


def _matches(
    plate: Picture, image: Picture, subject: Picture | None
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Places of common features in plate and picture [N, 2], and the scale they were found at."""
    scale = min(1.0, (LARGEST / max(plate.size / 3, image.size / 3)) ** 0.5)
    outside = None if subject is None else np.where(subject > 127, 0, 255).astype(np.uint8)
    found = [_features(plate, None, scale), _features(image, outside, scale)]
    (points, words), (others, other_words) = found
    if len(points) < 2 or len(others) < 2:
        return np.empty((0, 2)), np.empty((0, 2)), scale
    pairs = _pairs(words, other_words)
    return points[pairs[:, 0]] / scale, others[pairs[:, 1]] / scale, scale


def _features(
    picture: Picture, mask: Picture | None, scale: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places [N, 2] and descriptors [N, 128] at a reduced size."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        size = round(gray.shape[1] * scale), round(gray.shape[0] * scale)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    points, words = cv2.SIFT.create(FEATURES).detectAndCompute(gray, mask)
    if words is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    return np.array([point.pt for point in points]), np.asarray(words)


def _pairs(words: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Mutually nearest descriptors, each much nearer than the second nearest [N, 2]."""
    lengths = (words**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    squared = (lengths - 2 * words @ others.T).clip(0)  # [N, M]
    nearest, back = squared.argmin(axis=1), squared.argmin(axis=0)
    first, second = np.partition(squared, 1, axis=1)[:, :2].T
    mutual = back[nearest] == np.arange(len(words))
    chosen = np.flatnonzero(mutual & (first < RATIO**2 * second))
    return np.stack([chosen, nearest[chosen]], axis=1)
