"""The project's small networks as a Keras user would have them: made of layers of Keras alone."""


def plain_copy(network, pixels):
    """Return the logits of a copy of `network` on `pixels`, with Keras's own batch normalisation."""
    import keras  # here, so that a caller can have it quiet

    return keras.models.clone_model(network, input_tensors=pixels, clone_function=_plain).output["logits"]


def _plain(layer):
    import keras

    is_own = isinstance(layer, keras.layers.BatchNormalization)
    return (keras.layers.BatchNormalization if is_own else type(layer)).from_config(layer.get_config())
