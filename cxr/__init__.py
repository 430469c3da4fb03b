"""Chest radiographs in, probabilities with provenance out: a DVC pipeline and a bulk screening tool."""

__version__ = "0.1.0"
