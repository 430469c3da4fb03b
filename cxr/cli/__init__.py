"""Arguments, progress and exit status; no logic."""
