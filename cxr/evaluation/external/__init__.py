"""A table of cxr-batch against labels: external validation, without the pipeline that trained the network."""
