"""Loops that numba compiles: how, in one place, and typed for mypy."""

from collections.abc import Callable
from typing import TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])

# Fused multiply-adds and reordered sums let loops over float32 run in vectors; not-a-number and
# infinity keep their meaning.
FAST = {"contract", "reassoc", "nsz"}


def compiled(function: Function) -> Function:
    """Compile at the first call and keep the result on disk; runs without the interpreter lock."""
    done: Function = njit(cache=True, nogil=True)(function)
    return done


def vectorised(function: Function) -> Function:
    """As :func:`compiled`, for loops over rows of floats whose rounding may differ in the last bit.

    Rows must be contiguous, few and walked from 0: otherwise LLVM cannot tell that they do not
    overlap, and leaves the loop scalar.
    """
    done: Function = njit(cache=True, nogil=True, fastmath=FAST)(function)
    return done
