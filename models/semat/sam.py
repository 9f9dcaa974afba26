"""Segment Anything as published: its networks, a small one of the same kind, local weights."""

import hashlib
import logging
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from segment_anything import sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import Tensor, nn

from mattingzoo.weights import read_state

log = logging.getLogger(__name__)

SAMName = Literal["vit_b", "vit_l", "vit_h", "tiny"]
PATCH = 16  # pixels per token, of all variants

SAM_PAGE = "https://github.com/facebookresearch/segment-anything#model-checkpoints"
HQ_PAGE = "https://github.com/SysCV/sam-hq#model-checkpoints"


class TinySAM(NamedTuple):
    """Sizes of ``sam="tiny"``: the same networks, for tests and CPUs."""

    size: int = 256  # side of the frame in pixels
    width: int = 64  # channels of the image encoder
    depth: int = 8  # blocks of the image encoder
    heads: int = 4  # attention heads of each block
    window: int = 4  # side of an attention window in tokens
    decoder_width: int = 256  # channels of the mask decoder


class Release(NamedTuple):
    """A public weight file and what tells it from others."""

    file: str
    algorithm: str
    digest: str
    page: str


#: By variant and whether it is HQ-SAM's. The digits in SAM's file names begin their MD5; the
#: SHA-256 are those that computational-cell-analytics/micro-sam and 3D Slicer check. For HQ-SAM
#: only MD5 could be found (Sanster/IOPaint checks it).
RELEASES = {
    ("vit_b", False): Release(
        "sam_vit_b_01ec64.pth",
        "sha256",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        SAM_PAGE,
    ),
    ("vit_l", False): Release(
        "sam_vit_l_0b3195.pth",
        "sha256",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        SAM_PAGE,
    ),
    ("vit_h", False): Release(
        "sam_vit_h_4b8939.pth",
        "sha256",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        SAM_PAGE,
    ),
    ("vit_b", True): Release(
        "sam_hq_vit_b.pth", "md5", "c6b8953247bcfdc8bb8ef91e36a6cacc", HQ_PAGE
    ),
    ("vit_l", True): Release(
        "sam_hq_vit_l.pth", "md5", "08947267966e4264fb39523eccc33f86", HQ_PAGE
    ),
    ("vit_h", True): Release(
        "sam_hq_vit_h.pth", "md5", "3560f6b6a5a6edacd814a1325c39640a", HQ_PAGE
    ),
}


def build_sam(name: SAMName, tiny: TinySAM) -> Any:
    """A ``segment_anything`` model with random weights.

    Args:
        name: ``vit_b``, ``vit_l``, ``vit_h`` as in the package's registry, or ``tiny``.
        tiny: Sizes of ``tiny``; the others do not look at it.

    Raises:
        ValueError: If the name is unknown or the sizes do not fit together.
    """
    if name == "tiny":
        check_tiny(tiny)
        return build_tiny(tiny)
    if name not in get_args(SAMName):
        raise ValueError(f"sam must be one of vit_b, vit_l, vit_h, tiny, got {name!r}")
    return sam_model_registry[name]()


def build_tiny(tiny: TinySAM) -> Any:
    """A small SAM; up to four of its blocks, evenly spread, attend globally."""
    grid = tiny.size // PATCH
    taps = min(4, tiny.depth)
    encoder = ImageEncoderViT(
        img_size=tiny.size,
        patch_size=PATCH,
        embed_dim=tiny.width,
        depth=tiny.depth,
        num_heads=tiny.heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        global_attn_indexes=tuple((tap + 1) * tiny.depth // taps - 1 for tap in range(taps)),
        window_size=tiny.window,
        out_chans=tiny.decoder_width,
    )
    prompt_encoder = PromptEncoder(
        embed_dim=tiny.decoder_width,
        image_embedding_size=(grid, grid),
        input_image_size=(tiny.size, tiny.size),
        mask_in_chans=16,
    )
    transformer = TwoWayTransformer(
        depth=2, embedding_dim=tiny.decoder_width, mlp_dim=8 * tiny.decoder_width, num_heads=8
    )
    mask_decoder = MaskDecoder(
        transformer_dim=tiny.decoder_width,
        transformer=transformer,
        iou_head_hidden_dim=tiny.decoder_width,
    )
    return Sam(encoder, prompt_encoder, mask_decoder)


def check_tiny(tiny: TinySAM) -> None:
    """Refuse sizes that the networks cannot be built with."""
    rules = {
        "size": (tiny.size > 0 and tiny.size % PATCH == 0, f"a multiple of {PATCH}"),
        "depth": (tiny.depth > 0, "at least 1"),
        "width": (tiny.width >= 4, "at least 4"),
        "heads": (tiny.heads > 0 and tiny.width % tiny.heads == 0, "a divisor of the width"),
        "window": (tiny.window > 0, "at least 1"),
        "decoder_width": (tiny.decoder_width % 16 == 0, "a multiple of 16"),
    }
    for name, (holds, wanted) in rules.items():
        if not holds:
            raise ValueError(f"tiny_{name} must be {wanted}, got {getattr(tiny, name)}")


def read_sam(path: str | Path, name: SAMName, hq: bool) -> dict[str, Tensor]:
    """Read a local file of SAM's or HQ-SAM's weights; warn if it is not the published one.

    Args:
        path: File ending in .pth, .pt or .safetensors, with SAM's own names.
        name: Variant it should hold.
        hq: Whether it should be HQ-SAM's.

    Raises:
        FileNotFoundError: If there is no such file; the message says where it is published.
        ValueError: If it holds the other of SAM and HQ-SAM.
    """
    path = Path(path)
    release = RELEASES.get((name, hq))
    if not path.is_file():
        raise FileNotFoundError(missing_file(path, hq, release))
    state = read_state(path)
    if ("mask_decoder.hf_token.weight" in state) != hq:
        found, wanted = ("SAM", "HQ-SAM") if hq else ("HQ-SAM", "SAM")
        raise ValueError(
            f"sam_checkpoint {path} holds {found}, but hq={hq} needs {wanted}; set hq={not hq} or "
            f"give a file of {HQ_PAGE if hq else SAM_PAGE}"
        )
    if release is not None:
        check_release(path, release)
    return state


def missing_file(path: Path, hq: bool, release: Release | None) -> str:
    """What to say when there is no weight file."""
    which = release.file if release else "the weights"
    page = HQ_PAGE if hq else SAM_PAGE
    return f"sam_checkpoint {path} does not exist; download {which} from {page}"


def check_release(path: Path, release: Release) -> bool:
    """Whether a file is the published one; warns if not, as it may be one's own fine-tuning."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, release.algorithm).hexdigest()
    if digest == release.digest:
        return True
    log.warning(
        "%s is not %s as published on %s: its %s is %s, not %s; it is used all the same",
        *(path, release.file, release.page, release.algorithm, digest, release.digest),
    )
    return False
