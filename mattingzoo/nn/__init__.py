"""Parts of networks that several models share."""

from mattingzoo.nn.patchgan import PatchDiscriminator

__all__ = ["PatchDiscriminator"]
