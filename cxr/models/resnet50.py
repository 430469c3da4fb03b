"""ResNet50 (He et al. 2016, https://arxiv.org/abs/1512.03385) of keras.applications with our head."""

from pathlib import Path

from cxr.models import Architecture, PublishedWeights, TransferParams
from cxr.models.backend import keras
from cxr.models.keras_applications import STORE, with_backbone

PUBLISHED = PublishedWeights(
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    md5="4d473c1dd8becc155b73f8504c6f6626",
    origin=f"{STORE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
)


def build(plane_side: int, classes: int, recipe: TransferParams, imagenet: Path | None = None) -> keras.Model:
    """Build the network; `imagenet` is the file of published weights, None draws random ones."""
    resnet50 = keras.applications.resnet50
    return with_backbone(resnet50.ResNet50, resnet50.preprocess_input, plane_side, classes, recipe, imagenet)


ARCHITECTURE = Architecture(build, TransferParams, PUBLISHED, last_block="conv5_")
