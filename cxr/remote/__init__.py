"""Pictures and tables at addresses that fsspec reads, and revisions that DVC keeps."""
