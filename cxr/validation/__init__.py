"""Models outside the pipeline's own test set: labelled tables, cross-validation, comparisons, reproduction."""
