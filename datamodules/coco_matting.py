"""COCO-Matting, the training set of SEMat: people in everyday photographs, mattes by a network."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._coco_build import BuildSettings, build
from mattingzoo.datamodules._coco_fusion import FusionSettings
from mattingzoo.datamodules._coco_layout import (
    PAIRS,
    PHOTO_FOLDERS,
    Photographs,
    Sample,
    read_index,
    require_name,
)
from mattingzoo.datamodules._pairs import contents, require_partners
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import Picture, bad_file, check_sizes, list_images, read_gray, read_rgb
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split

# `mattingzoo data build coco-matting` looks here for all but the first.
__all__ = ["BuildSettings", "CocoMatting", "FusionSettings", "build"]


class CocoMattingSource(Source):
    """Mattes over their photographs.

    Args:
        samples: The mattes.
        alpha_first: Which half of a pair is which: trimap left and alpha right, unless it is set.
    """

    native = frozenset({"image", "alpha", "trimap"})

    def __init__(self, samples: Sequence[Sample], alpha_first: bool = False) -> None:
        self.samples = samples
        self.alpha_first = alpha_first
        self.names = [sample.name for sample in samples]
        self.foreground_names = self.names

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one photograph, its matte, and the trimap the matte was made with."""
        sample = self.samples[index]
        # Annotations, and so mattes, lie over the stored pixels.
        image = read_rgb(sample.image, upright=False)
        if sample.trimap == sample.alpha:
            trimap, alpha = self._halves(sample, image)
        else:
            trimap = read_gray(sample.trimap, upright=False)
            alpha = read_gray(sample.alpha, upright=False)
            layers = {"image": image, "trimap": trimap, "alpha": alpha}
            check_sizes(layers, {key: getattr(sample, key) for key in layers})
        return {"image": image, "alpha": alpha, "trimap": _three_values(trimap)}

    def files(self, index: int) -> list[Any]:
        """Photograph, trimap and alpha; a file that holds both once."""
        sample = self.samples[index]
        return list(dict.fromkeys([sample.image, sample.trimap, sample.alpha]))

    def _halves(self, sample: Sample, image: Picture) -> tuple[Picture, Picture]:
        pair = read_gray(sample.alpha, upright=False)
        height, width = image.shape[:2]
        if pair.shape != (height, 2 * width):
            raise bad_file(
                sample.alpha,
                f"{pair.shape[1]} x {pair.shape[0]} pixels",
                f"{2 * width} x {height}, twice as wide as {sample.image}",
                "take it from the original release",
            )
        left, right = pair[:, :width], pair[:, width:]
        return (right, left) if self.alpha_first else (left, right)


class CocoMatting(MattingDataModule):
    """COCO-Matting: 38,251 mattes of people with what they hold or wear, a training set.

    Content: people in 31,694 photographs of COCO (train2017 and unlabeled2017), each with at least
    one accessory. The mattes were made by a network from segmentations; nobody checked them, so
    there is no test split. There are no foreground colours: models that need them in training are
    refused. Training draws trimaps from alpha, as for every data set; validation takes the stored
    ones.

    Format: ``COCO-Matting_trimap_alpha/ID_NAME..._NN.png`` with trimap and alpha side by side, or
    the same split into ``trimap/`` and ``alpha/``; beside them ``train2017/ID.jpg`` and
    ``unlabeled2017/ID.jpg``. ID are the 12 digits of a COCO image, NAME what was fused into the
    person, NN counts the image's mattes. ``mattingzoo data build coco-matting`` makes another set
    of this layout. Not known for certain: the keys of the release's JSON other than ``save_path``;
    the JSON is not needed, for the file names tell the image.

    Licence: code CC BY-NC 4.0, annotations (COCONut) non-commercial, photographs under Flickr's
    terms; research only.

    Citation: Xia, Liang, Jiang, Zhang, Sun, Tang, Li, Zhou: Towards Natural Image Matting in the
    Wild via Real-Scenario Prior
    (SEMat), arXiv 2410.06593, 2024.

    Args:
        root: Folder that holds the mattes.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many validation samples.
        coco: Folder that holds ``train2017`` and ``unlabeled2017``; None takes ``root``.
        subset: ``all``, or only the mattes whose photograph is in ``train2017`` or in
            ``unlabeled2017``.
        val_share: Share of the images to validate on and to leave out of training, chosen by their
            ids, the same for everybody; 0 trains on all, as the authors do.
        alpha_first: Take the left half of a PNG for alpha and the right one for the trimap.
        index: JSON, relative to ``root``, that names the mattes to use; None uses all there are.
        matte_key: Key of its entries for the matte; only the file's name counts, not its folder.
        image_key: Key of its entries for the photograph, relative to ``coco``; entries without it
            find theirs by id.
    """

    about = (
        "COCO-Matting comes from github.com/XiaRho/SEMat: COCO-Matting_trimap_alpha/ with PNGs of "
        "trimap and alpha, beside it (or in --data.coco) COCO's train2017/ and unlabeled2017/. "
        "A set of your own: mattingzoo data build coco-matting --help"
    )

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 1,
        num_workers: int | None = None,
        seed: int | None = None,
        recipe: Recipe | None = None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
        coco: str | None = None,
        subset: str = "all",
        val_share: float = 0.01,
        alpha_first: bool = False,
        index: str | None = None,
        matte_key: str = "save_path",
        image_key: str = "image_path",
    ) -> None:
        if subset not in ("all", *PHOTO_FOLDERS):
            raise ValueError(f"subset must be all, {' or '.join(PHOTO_FOLDERS)}, got {subset!r}")
        if not 0 <= val_share < 1:
            raise ValueError(f"val_share must lie in [0, 1), got {val_share}")
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.coco = coco
        self.subset = subset
        self.val_share = val_share
        self.alpha_first = alpha_first
        self.index = index
        self.matte_key = matte_key
        self.image_key = image_key

    def make_source(self, split: Split) -> Source:
        """Mattes of the training images, or of those held out."""
        if split == "test":
            raise ValueError(
                "CocoMatting has no 'test' split: nobody checked its mattes; test on another data "
                "set, such as AIM-500, P3M-500-NP, RefMatteRW100 or RWP636"
            )
        samples = self._samples()
        kept = [s for s in samples if is_held_out(s.image_id, self.val_share) == (split == "val")]
        if not kept:
            raise ValueError(
                f"none of {len(samples)} mattes falls into {split!r} with val_share "
                f"{self.val_share}; choose another share (--data.val_share)"
            )
        return CocoMattingSource(kept, self.alpha_first)

    def _samples(self) -> list[Sample]:
        """All mattes with their photographs."""
        trimaps, alphas = self._folders()
        coco = self.root if self.coco is None else Path(self.coco)
        photographs = Photographs(coco, PHOTO_FOLDERS if self.subset == "all" else [self.subset])
        folders = dict.fromkeys((trimaps, alphas))  # one or two
        present = {folder: {path.name for path in list_images(folder)} for folder in folders}
        stated: dict[str, Path | None] = dict.fromkeys(sorted(present[alphas]))
        if self.index is not None:
            keys = self.matte_key, self.image_key
            stated = read_index(self.root / self.index, coco, *keys)
        samples, lacking = [], []
        for file, stated_image in stated.items():
            image_id = require_name(alphas / file).image_id
            image = stated_image or photographs.find(image_id)
            if self.subset != "all" and (image is None or image.parent.name != self.subset):
                continue
            if image is None or (stated_image is not None and not image.is_file()):
                lacking.append(f"the photograph of {file}")
            lacking += [f"{f.name}/{file}" for f, names in present.items() if file not in names]
            if image is not None:
                paths = (image, trimaps / file, alphas / file)
                samples.append(Sample(Path(file).stem, image_id, *paths))
        require_partners(self.root, list(dict.fromkeys(lacking)))
        return samples

    def _folders(self) -> tuple[Path, Path]:
        """Where trimaps and alphas lie; one folder in the released layout."""
        pairs = self.root / PAIRS
        if pairs.is_dir():
            return pairs, pairs
        split = self.root / "trimap", self.root / "alpha"
        if all(folder.is_dir() for folder in split):
            return split
        raise FileNotFoundError(
            f"{self.root} has neither {PAIRS}/ nor trimap/ and alpha/; found "
            f"{contents(self.root)}; pass the folder that holds them as root"
        )


def is_held_out(image_id: int, share: float) -> bool:
    """Whether an image belongs to a share chosen by id, the same for everybody."""
    digest = hashlib.sha256(str(image_id).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _three_values(trimap: Picture) -> Picture:
    """The authors' thresholds: below 85 background, from 170 foreground, unknown between."""
    return np.select([trimap < 85, trimap >= 170], [np.uint8(0), np.uint8(255)], np.uint8(128))
