"""Repeated grouped k-fold cross-validation: from the answers of all folds to figures with three uncertainties apart."""
