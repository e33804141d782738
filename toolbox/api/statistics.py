"""The statistics that evaluators share: scores, bootstrap, DeLong and Wilson intervals, Holm's correction.

A window on :mod:`toolbox.statistics`, which imports scipy and statsmodels: import it in a plugin's heavy half.
"""

from toolbox.statistics import bootstrap
from toolbox.statistics.bootstrap import RESAMPLES, generator
from toolbox.statistics.delong import Area, one_vs_rest
from toolbox.statistics.intervals import Bootstrap, auc_metric
from toolbox.statistics.proportions import holm, wilson
from toolbox.statistics.scores import BINS, METRICS, MetricInfo, PredictionSet, Units

__all__ = [
    "BINS",
    "METRICS",
    "RESAMPLES",
    "Area",
    "Bootstrap",
    "MetricInfo",
    "PredictionSet",
    "Units",
    "auc_metric",
    "bootstrap",
    "generator",
    "holm",
    "one_vs_rest",
    "wilson",
]
