"""Reading a release, duplicates, sources, balancing, splitting, and the synthetic sample."""
