"""The report and the model card, from one JSON: pure functions of values."""
