"""First-party trackers: runs written to TensorBoard and MLflow as they happen."""
