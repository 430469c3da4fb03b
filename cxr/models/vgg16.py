"""VGG16 (Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556) of keras.applications with our head."""

from pathlib import Path

from cxr.models import Architecture, PublishedWeights, TransferParams
from cxr.models.backend import keras
from cxr.models.keras_applications import STORE, with_backbone

PUBLISHED = PublishedWeights(
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    md5="6d6bbae143d832006294945121d1f1fc",
    origin=f"{STORE}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
)


def build(plane_side: int, classes: int, recipe: TransferParams, imagenet: Path | None = None) -> keras.Model:
    """Build the network; `imagenet` is the file of published weights, None draws random ones."""
    vgg16 = keras.applications.vgg16
    return with_backbone(vgg16.VGG16, vgg16.preprocess_input, plane_side, classes, recipe, imagenet)


ARCHITECTURE = Architecture(build, TransferParams, PUBLISHED, last_block="block5_")
