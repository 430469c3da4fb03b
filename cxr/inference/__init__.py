"""What ships, applied by one code for evaluation and screening: network, decisions, gate, model folder."""
