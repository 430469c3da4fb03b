"""Metrics with intervals, calibration, decisions and comparisons, from saved outputs alone."""
