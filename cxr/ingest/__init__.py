"""What `cxr-data import` does: unpack, lay out, put in place."""
