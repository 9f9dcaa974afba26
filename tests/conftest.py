"""One thread per process: tiny tensors gain nothing from more, and busy machines lose a lot.

Nor does hypothesis look at the clock: on a busy machine an example may take any time.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start

import cv2
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
cv2.setNumThreads(1)
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Begin with one thread, whatever a test before has set.

    Two processes of two threads on two cores wait for each other: tests took a hundred times as
    long.
    """
    torch.set_num_threads(1)
