"""The statistics that evaluators share: scores, bootstrap, DeLong and Wilson intervals, Holm's correction.

A window on :mod:`toolbox.statistics`, which imports scipy and statsmodels: import it in a plugin's heavy half.
"""

from toolbox.statistics import bootstrap
from toolbox.statistics.bootstrap import RESAMPLES, generator
from toolbox.statistics.delong import Area, one_against_rest
from toolbox.statistics.intervals import Resampled, of_area
from toolbox.statistics.proportions import holm, wilson
from toolbox.statistics.scores import BINS, METRICS, Answers, Info, Units

__all__ = [
    "BINS",
    "METRICS",
    "RESAMPLES",
    "Answers",
    "Area",
    "Info",
    "Resampled",
    "Units",
    "bootstrap",
    "generator",
    "holm",
    "of_area",
    "one_against_rest",
    "wilson",
]
