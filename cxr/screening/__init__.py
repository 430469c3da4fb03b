"""The bulk command's work: discover, decode, run, write. Never imports TensorFlow."""
