"""What a Keras user would write to classify a folder; screening.py compares with it.

    python keras_script.py MODEL FOLDER OUTPUT [MARKER]

The file MARKER appears when the first batch has its answers; nobody else needs it.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import pandas as pd

CLASSES = ["covid", "normal", "viral_pneumonia"]


class FirstAnswer(keras.callbacks.Callback):
    def on_predict_batch_end(self, batch, logs=None):  # noqa: ARG002
        Path(sys.argv[4]).touch()


model = keras.models.load_model(sys.argv[1])
dataset = keras.utils.image_dataset_from_directory(
    sys.argv[2],
    labels=None,
    color_mode="grayscale",
    image_size=(128, 128),
    batch_size=32,
    shuffle=False,
)
probabilities = model.predict(dataset, callbacks=[FirstAnswer()] if len(sys.argv) > 4 else None, verbose=0)
results = pd.DataFrame(probabilities, columns=CLASSES)
results.insert(0, "path", dataset.file_paths)
results.insert(1, "label", [CLASSES[index] for index in probabilities.argmax(axis=1)])
results.to_csv(sys.argv[3], index=False)
