"""The one way by which TensorFlow and Keras enter a process: with their log quietened, which later cannot be done."""

import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# TensorFlow writes to file descriptor 2 before it has read its own log level; an ImportError still gets through.
_saved, _null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(_null, 2)
try:
    import keras
    import tensorflow as tf
finally:
    os.dup2(_saved, 2)
    os.close(_saved)
    os.close(_null)

logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["keras", "tf"]
