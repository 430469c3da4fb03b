"""Decoding under mutated files: `make fuzz`."""
