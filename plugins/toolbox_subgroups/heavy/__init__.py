"""The halves that import scipy and statsmodels."""
