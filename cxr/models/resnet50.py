"""ResNet50 (He et al. 2016, https://arxiv.org/abs/1512.03385) of keras.applications with our head."""

from pathlib import Path

from cxr.models import Architecture, PublishedWeights, TransferParams
from cxr.models.keras_applications import STORE, Backbone, with_backbone
from cxr.models.layers import keras

PUBLISHED = PublishedWeights(
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    md5="4d473c1dd8becc155b73f8504c6f6626",
    origin=f"{STORE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
)
BACKBONE = Backbone(
    keras.applications.ResNet50,
    keras.applications.resnet50.preprocess_input,
    maps=("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
)


def build(plane_side: int, classes: int, recipe: TransferParams, weights: Path | None = None) -> keras.Model:
    """Build the network; `weights` is the file of those of the backbone, None draws random ones."""
    return with_backbone(BACKBONE, plane_side, classes, recipe, weights)


ARCHITECTURE = Architecture(build, TransferParams, PUBLISHED, last_block="conv5_")
