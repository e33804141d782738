"""The halves that import OpenCV and scipy."""
