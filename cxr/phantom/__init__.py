"""Drawn radiographs: the sample without a person in it."""
