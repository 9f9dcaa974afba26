"""Models: one folder each; none knows a data set or another model."""

from mattingzoo.models.dim import DIM

__all__ = ["DIM"]
