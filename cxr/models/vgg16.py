"""VGG16 (Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556) of keras.applications with our head."""

from pathlib import Path

from cxr.models.backend import keras
from cxr.models.keras_applications import with_backbone

LAST_BLOCK = "block5_"  # what the names of the layers begin with that fine-tuning lets learn


def build(plane_side: int, side: int, classes: int, dropout: float, imagenet: Path | None = None) -> keras.Model:
    """Build the network; `imagenet` is the file of published weights, None draws random ones."""
    applications = keras.applications.vgg16
    return with_backbone(
        applications.VGG16, applications.preprocess_input, (plane_side, side), classes, dropout, imagenet
    )
