"""The halves that import tensorboard and mlflow."""
