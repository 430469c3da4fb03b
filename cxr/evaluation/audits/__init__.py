"""Audits of a trained network: what it reads of a radiograph, and whether that could be something else than disease."""
