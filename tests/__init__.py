"""Tests of the toolbox."""

import os

# Before torch and numpy are imported, here and in processes that tests start: tiny networks and images lose more to a
# second thread than they gain, and pytest runs a process for each core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
