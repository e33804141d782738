"""The half that computes."""
