"""The halves that import torch and captum."""
