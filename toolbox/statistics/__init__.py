"""Intervals, tests and verdicts: arrays in, figures out. Reads no file, knows no run, imports no torch."""
