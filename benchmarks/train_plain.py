"""What a Keras user would write in a notebook to train on class folders; train.py compares with it.

    python train_plain.py NETWORK DATA WEIGHTS EPOCHS SIDE BATCH

cnn1 is that of this project with Keras's augmentation in front; vgg16 and resnet50 are those of keras.applications,
frozen, with a new head.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow  # noqa: F401
from plain_keras import plain_copy
from train_clock import Clock

clock = Clock()
NETWORK, DATA, WEIGHTS = sys.argv[1:4]
EPOCHS, SIDE, BATCH = map(int, sys.argv[4:])


def load(part, color_mode):
    return keras.utils.image_dataset_from_directory(
        f"{DATA}/{part}", label_mode="categorical", color_mode=color_mode, image_size=(SIDE, SIDE), batch_size=BATCH
    )


def small_network():
    from networks import build

    network = build("cnn1", SIDE)
    pixels = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.RandomRotation(0.02)(pixels)
    x = keras.layers.RandomTranslation(0.06, 0.06)(x)
    x = keras.layers.RandomZoom(0.1)(x)
    x = keras.layers.RandomBrightness(0.12)(x)
    x = keras.layers.RandomContrast(0.25)(x)
    planes = keras.Input((SIDE, SIDE, 1))
    body = keras.Model(planes, plain_copy(network, planes))
    return keras.Model(pixels, keras.layers.Softmax()(body(x)))


def frozen_network(backbone, preprocess):
    base = backbone(include_top=False, weights=WEIGHTS, input_shape=(SIDE, SIDE, 3))
    base.trainable = False
    pixels = keras.Input((SIDE, SIDE, 3))
    x = base(preprocess(pixels), training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))


if NETWORK == "cnn1":
    model = small_network()
elif NETWORK == "vgg16":
    model = frozen_network(keras.applications.VGG16, keras.applications.vgg16.preprocess_input)
else:
    model = frozen_network(keras.applications.ResNet50, keras.applications.resnet50.preprocess_input)
color = "grayscale" if NETWORK == "cnn1" else "rgb"
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
history = model.fit(load("train", color), validation_data=load("validation", color), epochs=EPOCHS, verbose=0)
clock.say(max(history.history["val_accuracy"]))
