"""One thread per process: tiny tensors gain nothing from more, and busy machines lose a lot."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start

import cv2
import torch

torch.set_num_threads(1)
cv2.setNumThreads(1)
