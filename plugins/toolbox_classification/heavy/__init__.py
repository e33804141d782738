"""The halves that import torchmetrics and scipy."""
