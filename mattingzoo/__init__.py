"""mattingzoo: the PyTorch Lightning model zoo of image matting."""

__version__ = "0.1.0"
