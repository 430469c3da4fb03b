"""Augmentation in TensorFlow: a training image is moved once, re-exposed once, and given another scanner's look.

Movement and exposure are one resampling and one multiply-add a pixel. What else differs between hospitals is gamma,
sharpness, noise, margins and markers: scanner augmentation.
"""

import math

from cxr.models import AugmentParams
from cxr.models.layers import tf

WHITE = 255.0
MOVES = 4  # rotation, vertical shift, horizontal shift, zoom
EXPOSURES = 2  # contrast, brightness
# Of the two words of a seed; each variation has its own, so that one does not change the draws of another.
GAMMA, BLUR, NOISE, BORDER, MARKERS, MATCH, TONE, AMPLITUDE, TEXTURE = range(1, 10)
LEVELS = 256  # of a plane
STEPS = 8  # of a tone curve
SMALLEST_PATCH, LARGEST_PATCH = 0.03, 0.12  # half a patch's side, share of the image's
RING = 0.25  # patches lie at most this far from an edge, share of the side
PAINTED_IN = 0.6  # share of patches that are bright, as a letter of lead is; others cover what is there


def augmented(images: "tf.Tensor", params: AugmentParams, draw: "tf.Tensor") -> "tf.Tensor":
    """Move and re-expose a batch as a radiograph can bear, each image by its own amounts.

    Rotation, shift and zoom are one affine map, so that pixels are interpolated once (bilinear); beyond the detector
    there is no exposure, so what comes from outside is zero. Contrast is changed about the image's own mean.

    Args:
        images: uint8 (n, side, side, 1).
        params: The largest amounts; each is drawn uniformly in both directions.
        draw: int64 (2,), seed of all amounts: the same gives the same.

    Returns:
        uint8 (n, side, side, 1).
    """
    amounts = _movements_and_exposures(images, draw)
    return _varied(_move(tf.cast(images, tf.float32), params, amounts[:MOVES]), params, amounts[MOVES:], draw)


def augmented_with_masks(
    images: "tf.Tensor", masks: "tf.Tensor", params: AugmentParams, draw: "tf.Tensor"
) -> "tuple[tf.Tensor, tf.Tensor]":
    """Return what `augmented` does, and masks that are moved as their images are.

    Args:
        images: uint8 (n, side, side, 1).
        masks: uint8 (n, side, side, 1), 0 or 255.
        params: As in `augmented`.
        draw: As in `augmented`.

    Returns:
        uint8 (n, side, side, 1), and the masks, float32 of the same shape, 0 or 1.
    """
    amounts = _movements_and_exposures(images, draw)
    moved = _move(tf.cast(tf.concat([images, masks], axis=3), tf.float32), params, amounts[:MOVES])
    varied = _varied(moved[..., :1], params, amounts[MOVES:], draw)
    lungs = tf.cast(moved[..., 1:] >= WHITE / 2, tf.float32)
    # The side is lost on the way, and a network that enlarges its maps must know it.
    return tf.ensure_shape(varied, images.shape), tf.ensure_shape(lungs, masks.shape)


def _movements_and_exposures(images: "tf.Tensor", draw: "tf.Tensor") -> "tf.Tensor":
    return tf.random.stateless_uniform([MOVES + EXPOSURES, tf.shape(images)[0]], draw, -1.0, 1.0)


def _varied(moved: "tf.Tensor", params: AugmentParams, exposures: "tf.Tensor", draw: "tf.Tensor") -> "tf.Tensor":
    exposed = _expose(moved, params, exposures)
    varied = augment_scanner(augment_style(exposed, params, draw), params, draw)
    return tf.cast(tf.round(tf.clip_by_value(varied, 0.0, WHITE)), tf.uint8)


def _move(images: "tf.Tensor", params: AugmentParams, amounts: "tf.Tensor") -> "tf.Tensor":
    side = tf.cast(tf.shape(images)[1], tf.float32)
    angle = amounts[0] * params.rotation * 2 * math.pi
    down, right = (amounts[row] * params.shift * side for row in (1, 2))
    size = 1 + amounts[3] * params.zoom
    cos, sin = tf.cos(angle) * size, tf.sin(angle) * size
    centre = (side - 1) / 2
    # From a pixel of the result to where it is taken from: x' = cos x - sin y + left, y' = sin x + cos y + top,
    # which keeps the centre but for the shift.
    left = centre - cos * centre + sin * centre - right
    top = centre - sin * centre - cos * centre - down
    flat = tf.zeros_like(angle)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([cos, -sin, left, sin, cos, top, flat, flat], axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def _expose(images: "tf.Tensor", params: AugmentParams, amounts: "tf.Tensor") -> "tf.Tensor":
    contrast, brightness = (amounts[row][:, tf.newaxis, tf.newaxis, tf.newaxis] for row in (0, 1))
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    # (pixel - mean) * factor + mean + added, as one multiply-add.
    factor = 1 + contrast * params.contrast
    return images * factor + (mean * (1 - factor) + brightness * params.brightness * WHITE)


def augment_style(images: "tf.Tensor", params: AugmentParams, draw: "tf.Tensor") -> "tf.Tensor":
    """Give images the style of others of the batch, whatever their classes, or one that none has.

    Grey levels are matched to another image's, or go through a random rising curve; the amplitudes of the Fourier
    spectrum are mixed with another image's while the phases, which hold the anatomy, stay (Yang 2020, Xu 2021); and
    the image is mixed with itself through a random filter (RandConv, Xu 2021). A class can then not be told by the
    style of the collection that its images came from.

    Args:
        images: float32 (n, side, side, 1), 0..255 but for what exposure has put beyond.
        params: The largest amounts.
        draw: int64 (2,), seed of all amounts.

    Returns:
        float32 (n, side, side, 1), not clipped.
    """
    if params.amplitude:
        images = _amplitude(images, params.amplitude, draw)
    if params.match or params.tone:
        images = _regraded(images, params, draw)
    if params.texture:
        images = _texture(images, params.texture, draw)
    return images


def _amplitude(images: "tf.Tensor", largest: float, draw: "tf.Tensor") -> "tf.Tensor":
    """Mix amplitudes with another image's; half of the images stay as they are."""
    amounts = _amounts(images, draw, AMPLITUDE, 1)
    share = tf.maximum(amounts[0], 0)[:, tf.newaxis, tf.newaxis] * largest
    spectrum = tf.signal.rfft2d(images[..., 0])
    own = tf.abs(spectrum)
    mixed = own + share * (tf.gather(own, _others(images, draw, AMPLITUDE)) - own)
    scaled = spectrum * tf.cast(mixed / tf.maximum(own, 1e-3), tf.complex64)
    return tf.signal.irfft2d(scaled, fft_length=tf.shape(images)[1:3])[..., tf.newaxis]


def _regraded(images: "tf.Tensor", params: AugmentParams, draw: "tf.Tensor") -> "tf.Tensor":
    """Send grey levels through one curve an image: another image's levels, then a random one."""
    levels = tf.cast(tf.round(tf.clip_by_value(images, 0.0, WHITE)), tf.int32)
    number = tf.shape(images)[0]
    curve = tf.tile(tf.range(LEVELS, dtype=tf.float32)[tf.newaxis], [number, 1])
    if params.match:
        counts = tf.math.bincount(tf.reshape(levels, [number, -1]), minlength=LEVELS, maxlength=LEVELS, axis=-1)
        below = tf.cumsum(counts, axis=1)
        other = tf.gather(below, _others(images, draw, MATCH))
        found = tf.cast(tf.minimum(tf.searchsorted(other, below), LEVELS - 1), tf.float32)
        chosen = (_uniform(images, draw, MATCH) + 1) / 2 < params.match
        curve = tf.where(chosen[:, tf.newaxis], found, curve)
    if params.tone:
        steps = tf.exp(params.tone * _amounts(images, draw, TONE, STEPS))
        knots = tf.pad(tf.cumsum(steps, axis=0) / tf.reduce_sum(steps, axis=0), [[1, 0], [0, 0]])
        place = curve / WHITE * STEPS
        low = tf.minimum(tf.cast(place, tf.int32), STEPS - 1)
        knots = tf.transpose(knots)
        start, end = (tf.gather(knots, low + step, batch_dims=1) for step in (0, 1))
        curve = WHITE * (start + (place - tf.cast(low, tf.float32)) * (end - start))
    flat = tf.gather(curve, tf.reshape(levels, [number, -1]), batch_dims=1)
    return tf.reshape(flat, tf.shape(images))


def _texture(images: "tf.Tensor", largest: float, draw: "tf.Tensor") -> "tf.Tensor":
    """Mix each image with itself through a filter of its own, brought to the image's mean and contrast."""
    number = tf.shape(images)[0]
    kernels = tf.random.stateless_normal([3, 3, number, 1], draw + 16 * TEXTURE)
    kernels *= tf.sign(tf.reduce_sum(kernels, axis=[0, 1], keepdims=True))  # bright stays bright
    beside = tf.transpose(images, [3, 1, 2, 0])
    filtered = tf.transpose(tf.nn.depthwise_conv2d(beside, kernels, [1, 1, 1, 1], "SAME"), [3, 1, 2, 0])
    (mean, variance), (found, spread) = (tf.nn.moments(each, [1, 2, 3], keepdims=True) for each in (images, filtered))
    filtered = mean + (filtered - found) * tf.sqrt(variance / (spread + 1.0))
    share = largest * _of_images(tf.maximum(_uniform(images, draw, TEXTURE), 0))
    return images + share * (filtered - images)


def _others(images: "tf.Tensor", draw: "tf.Tensor", which: int) -> "tf.Tensor":
    """Return for each image the number of another of the batch, in a random order."""
    return tf.argsort(tf.random.stateless_uniform([tf.shape(images)[0]], draw + 16 * which + 1))


def augment_scanner(images: "tf.Tensor", params: AugmentParams, draw: "tf.Tensor") -> "tf.Tensor":
    """Change gamma, sharpness, noise, margins and markers, each image by its own amounts.

    Args:
        images: float32 (n, side, side, 1), 0..255 but for what exposure has put beyond.
        params: The largest amounts.
        draw: int64 (2,), seed of all amounts.

    Returns:
        float32 (n, side, side, 1), not clipped.
    """
    if params.gamma:
        images = _gamma(images, params.gamma * _uniform(images, draw, GAMMA))
    if params.blur:
        images = _sharpness(images, params.blur * _uniform(images, draw, BLUR))
    if params.noise:
        images = _noise(images, params.noise * tf.abs(_uniform(images, draw, NOISE)), draw)
    if params.markers:
        images = _marker(images, params.markers, draw)
    if params.border:
        images = _border(images, params.border, draw)
    return images


def _gamma(images: "tf.Tensor", exponents: "tf.Tensor") -> "tf.Tensor":
    share = tf.clip_by_value(images / WHITE, 1e-4, 1.0)  # a power of zero has no slope
    return WHITE * share ** tf.exp(_of_images(exponents))


def _sharpness(images: "tf.Tensor", amounts: "tf.Tensor") -> "tf.Tensor":
    mean = tf.nn.avg_pool2d(images, 3, 1, "SAME")
    return images + _of_images(amounts) * (mean - images)


def _noise(images: "tf.Tensor", deviations: "tf.Tensor", draw: "tf.Tensor") -> "tf.Tensor":
    grains = tf.random.stateless_normal(tf.shape(images), draw + NOISE)
    return images + _of_images(deviations) * WHITE * grains


def _border(images: "tf.Tensor", largest: float, draw: "tf.Tensor") -> "tf.Tensor":
    """Paint margins, each of its own width, in one grey, black for half; half of the images have none."""
    amounts = _amounts(images, draw, BORDER, 6)
    chosen = tf.cast(amounts[4] > 0, tf.float32)
    top, bottom, left, right = (tf.maximum(amounts[row], 0) * largest * chosen for row in range(4))
    rows, columns = _grid(images)
    inside = (rows >= _of_images(top)) & (rows < 1 - _of_images(bottom))
    inside &= (columns >= _of_images(left)) & (columns < 1 - _of_images(right))
    return tf.where(inside, images, _of_images(tf.maximum(amounts[5], 0) * WHITE))


def _marker(images: "tf.Tensor", share: float, draw: "tf.Tensor") -> "tf.Tensor":
    """Paint a rectangle near an edge: bright, or in the image's mean, which takes away what stands there."""
    amounts = (_amounts(images, draw, MARKERS, 8) + 1) / 2
    edge = tf.where(amounts[0] < 0.5, amounts[1] * RING, 1 - amounts[1] * RING)
    along_rows = amounts[2] < 0.5
    centre_row, centre_column = tf.where(along_rows, edge, amounts[3]), tf.where(along_rows, amounts[3], edge)
    half = [SMALLEST_PATCH + (LARGEST_PATCH - SMALLEST_PATCH) * amounts[row] for row in (4, 5)]
    rows, columns = _grid(images)
    patch = (tf.abs(rows - _of_images(centre_row)) < _of_images(half[0])) & (
        tf.abs(columns - _of_images(centre_column)) < _of_images(half[1])
    )
    patch &= _of_images(amounts[6]) < share
    mean = tf.reduce_mean(images, axis=[1, 2, 3])
    grey = tf.where(amounts[7] < PAINTED_IN, WHITE * (1 - amounts[7] / 2), mean)
    return tf.where(patch, _of_images(grey), images)


def _uniform(images: "tf.Tensor", draw: "tf.Tensor", which: int) -> "tf.Tensor":
    return _amounts(images, draw, which, 1)[0]


def _amounts(images: "tf.Tensor", draw: "tf.Tensor", which: int, count: int) -> "tf.Tensor":
    """Draw float32 (count, n), uniform from -1 to 1."""
    return tf.random.stateless_uniform([count, tf.shape(images)[0]], draw + 16 * which, -1.0, 1.0)


def _of_images(values: "tf.Tensor") -> "tf.Tensor":
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _grid(images: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
    """Return where the pixels lie, 0 to 1, as (1, side, 1, 1) and (1, 1, side, 1)."""
    side = tf.shape(images)[1]
    places = (tf.cast(tf.range(side), tf.float32) + 0.5) / tf.cast(side, tf.float32)
    return places[tf.newaxis, :, tf.newaxis, tf.newaxis], places[tf.newaxis, tf.newaxis, :, tf.newaxis]
