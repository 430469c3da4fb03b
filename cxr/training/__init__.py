"""The only fit loop, transfer learning, reproducible saving, and export of the screening network."""
