"""VGG16 (Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556) of keras.applications with our head."""

from pathlib import Path

from cxr.models import Architecture, PublishedWeights, TransferParams
from cxr.models.keras_applications import STORE, Backbone, with_backbone
from cxr.models.layers import keras

PUBLISHED = PublishedWeights(
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    md5="6d6bbae143d832006294945121d1f1fc",
    origin=f"{STORE}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
)
BACKBONE = Backbone(
    keras.applications.VGG16,
    keras.applications.vgg16.preprocess_input,
    # Before the block's own pooling, which at an odd side would leave out a row and a column.
    maps=tuple(f"block{block}_conv{convolutions}" for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1)),
)


def build(plane_side: int, classes: int, recipe: TransferParams, weights: Path | None = None) -> keras.Model:
    """Build the network; `weights` is the file of those of the backbone, None draws random ones."""
    return with_backbone(BACKBONE, plane_side, classes, recipe, weights)


ARCHITECTURE = Architecture(build, TransferParams, PUBLISHED, last_block="block5_")
