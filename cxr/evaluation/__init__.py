"""Metrics, figures and reports from saved outputs; knows nothing of TensorFlow."""
