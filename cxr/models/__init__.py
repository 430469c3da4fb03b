"""The networks: what one is, what its recipe may say, how it is found by its name, and where its weights come from.

A network is a module of this package, which gives its `ARCHITECTURE`, and a section `train_<name>` of params.yaml. No
list names them: params.yaml says which there are, and only the module of the one that is trained is imported.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.request import urlopen

from pydantic import Field

from cxr.core.errors import ParamsError, WeightsError
from cxr.core.files import Track, untracked, whole_file
from cxr.core.params import BESIDES, TRAINING, Section

EvenSources = Annotated[
    float,
    Field(ge=0, le=1, description="How far sources of a class count alike in the loss: 0 by their images, 1 alike."),
]
RANDOM, IMAGENET = "random", "imagenet"
Weights = Annotated[
    str,
    Field(
        pattern=rf"^({RANDOM}|{IMAGENET}|.+\.(h5|npz))$",
        description="random; imagenet: the published file; or NAME.h5 in weights/<model>/ (NAME.npz for lite0).",
    ),
]


class AugmentParams(Section):
    """How far a training image is moved and re-exposed. No mirroring: it would move the heart to the right."""

    rotation: float = Field(0.02, ge=0, le=0.1, description="Largest rotation either way, in full turns.")
    shift: float = Field(0.06, ge=0, le=0.3, description="Largest shift either way, share of the side.")
    zoom: float = Field(0.1, ge=0, le=0.3, description="Largest zoom in or out, share of the side.")
    brightness: float = Field(0.12, ge=0, le=0.5, description="Largest added luminance, share of the range.")
    contrast: float = Field(0.25, ge=0, le=0.8, description="Largest change of contrast, share.")
    match: float = Field(
        0.0, ge=0, le=1, description="Share of images that get the grey levels of another of the batch."
    )
    tone: float = Field(0.0, ge=0, le=2, description="Spread of the steps of a random rising tone curve; 0: none.")
    amplitude: float = Field(
        0.0, ge=0, le=1, description="Largest share of another image's Fourier amplitudes, of the same batch; 0: none."
    )
    texture: float = Field(0.0, ge=0, le=1, description="Largest share of the image through a random 3 x 3 filter.")
    gamma: float = Field(0.0, ge=0, le=1, description="Largest power of luminance, either way, as exp(gamma); 0: none.")
    blur: float = Field(0.0, ge=0, le=1, description="Largest share of a 3 x 3 mean, or of sharpening by it; 0: none.")
    noise: float = Field(0.0, ge=0, le=0.5, description="Largest standard deviation of noise, share of the range.")
    border: float = Field(0.0, ge=0, le=0.3, description="Largest margin painted over on each side, share of the side.")
    markers: float = Field(0.0, ge=0, le=1, description="Share of images with a patch painted in or out near the edge.")


class TrainParams(Section):
    """What the recipe of every network has."""

    side: int = Field(ge=32, le=1024, description="Side of the network's own input, at most image.side, pixels.")
    epochs: int = Field(ge=1, description="Passes over the training images at most.")
    patience: int = Field(ge=1, description="Epochs without a better validation loss before training stops.")
    batch_size: int = Field(32, ge=1, description="Images a step.")
    learning_rate: float = Field(gt=0, lt=1, description="Peak of the learning rate.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the rate rises to its peak.")
    weight_decay: float = Field(0.0, ge=0, lt=1, description="Decoupled weight decay of AdamW.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Share of a label spread over all classes.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of pooled features dropped while training.")
    augment: AugmentParams

    @property
    def initialisation(self) -> str:
        """What the weights are before the first step: `random`, `imagenet` or the name of a file."""
        return RANDOM

    @property
    def evenness(self) -> float:
        """How far the sources of a class count alike in the loss, 0 to 1."""
        return 0.0


class SmallParams(TrainParams):
    """The recipe of a small network of our own, which always begins at random."""

    margin: float = Field(0.0, ge=0, lt=0.4, description="Margin that the network does not look at, share of the side.")
    standardise: bool = Field(False, description="Bring each image to mean 0 and standard deviation 1 in the network.")
    even_sources: EvenSources = 0.0
    widen: float = Field(1.0, ge=0.25, le=4, description="Factor on the number of filters of each convolution.")

    @property
    def evenness(self) -> float:
        """How far the sources of a class count alike in the loss, 0 to 1."""
        return self.even_sources


class PretrainedParams(TrainParams):
    """The recipe of a network that can start from published weights."""

    weights: Weights

    @property
    def initialisation(self) -> str:
        """What the weights are before the first step: `random`, `imagenet` or the name of a file."""
        return self.weights


class FineTunedParams(PretrainedParams):
    """The recipe of a network whose weights all learn in one phase, from random or from ImageNet's."""

    even_sources: EvenSources = 0.0

    @property
    def evenness(self) -> float:
        """How far the sources of a class count alike in the loss, 0 to 1."""
        return self.even_sources


class HeadParams(Section):
    """With weights from a file, first: the last layer is fitted to features that the frozen backbone computes once."""

    depths: int = Field(
        3, ge=1, le=5, description="How many of the backbone's five scales are pooled, the coarsest first."
    )
    strength: float = Field(
        0.03, gt=0, description="Not with random: inverse of the penalty on the head's squared weights, as C."
    )


class FineTuneParams(Section):
    """With weights from a file, second: the backbone's last block learns with the head, on augmented images."""

    epochs: int = Field(10, ge=0, description="Not with random: passes with the last block too, at most; 0: none.")
    learning_rate: float = Field(
        0.00001, gt=0, lt=1, description="Not with random: peak of the rate with the last block learning too; low."
    )


class TransferParams(PretrainedParams):
    """The recipe of a network that learns in two phases from weights of a file, or in one from random ones.

    `epochs` and `learning_rate` are for random weights, `head` and `fine_tune` for others; all else is for both, but
    that the head alone knows no steps, dropout or augmentation.
    """

    head: HeadParams = HeadParams()
    fine_tune: FineTuneParams = FineTuneParams()

    @property
    def tuning(self) -> "TransferParams":
        """The recipe with the epochs and the learning rate of `fine_tune`; the rest is shared."""
        part = self.fine_tune
        return self.model_copy(update={"epochs": part.epochs, "learning_rate": part.learning_rate})


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """One file of weights that somebody publishes.

    Attributes:
        filename: Its name in `weights/<network>/`.
        md5: Of its bytes.
        origin: Address that `cxr-data weights` fetches it from; empty where DVC keeps the file for this project.
    """

    filename: str
    md5: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network.

    Attributes:
        build: From the side of the planes in pixels, the number of classes, the recipe and, where there are
            `published` weights, their file or None, to an untrained keras.Model; see `cxr.models.layers.network` for
            its outputs.
        params: Class of its section of params.yaml.
        published: Weights that it can start from; None: it always begins at random.
        last_block: With `TransferParams`: what the names of the layers begin with that learn in the second phase.
    """

    build: Callable[..., Any]
    params: type[TrainParams]
    published: PublishedWeights | None = None
    last_block: str = ""


def architecture(name: str) -> Architecture:
    """Return the network `name`, the name of its module. Loads TensorFlow.

    Raises:
        ParamsError: There is no such module.
    """
    _require_module(name)
    found: Architecture = import_module(f"{__name__}.{name}").ARCHITECTURE
    return found


def networks(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the networks that params.yaml has a section `train_<name>` of, in its order.

    Args:
        values: As read.

    Raises:
        ParamsError: A section is of no network.
    """
    names = [key.removeprefix(TRAINING) for key in values if key.startswith(TRAINING) and key not in BESIDES]
    for name in names:
        _require_module(name)
    return tuple(names)


def _require_module(name: str) -> None:
    if not (Path(__file__).parent / f"{name}.py").is_file():
        raise ParamsError(f"params.yaml: no stage reads 'train_{name}': there is no network in cxr/models/{name}.py")


CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0  # of one read; a slow line is no fault, a silent one is


def weights_file(folder: Path, model: str, weights: str, published: PublishedWeights | None) -> Path | None:
    """Return the file that the network `model` starts from, or None where it starts at random.

    Args:
        folder: As for `require_weights`.
        model: Name of the network.
        weights: `random`, `imagenet`, or a file as seen from `folder`.
        published: What `imagenet` means.

    Raises:
        WeightsError: The file is absent; or `imagenet` is asked for and the file is not the published one.
    """
    if weights == RANDOM or published is None:
        return None
    if weights == IMAGENET:
        return require_weights(folder, model, published)
    path = folder / weights
    if not path.is_file():
        raise WeightsError(
            f"The weights that {model} is to start from are not here: train_{model}.weights in params.yaml is "
            f"'{weights}', which means the file {path}. Put it there, or set train_{model}.weights to 'random'"
        )
    return path


def require_weights(folder: Path, model: str, published: PublishedWeights) -> Path:
    """Return the file of the published weights of the network `model`.

    Args:
        folder: Holds the file itself: `weights/vgg16`, not `weights`.
        model: Name of the network.
        published: What is expected.

    Raises:
        WeightsError: The file is absent or is not the published one.
    """
    path, command = folder / published.filename, fetching_command(model, published)
    if not path.is_file():
        raise WeightsError(
            f"The ImageNet weights of {model} are not here: expected {published.filename} in {folder}. Fetch them "
            f"with '{command}', or start from random weights: set train_{model}.weights to 'random' in params.yaml"
        )
    found = md5_of(path)
    if found != published.md5:
        raise WeightsError(
            f"{path} is not the published file: its md5 is {found}, expected {published.md5}. Replace it "
            f"with '{command}'"
        )
    return path


def fetching_command(model: str, published: PublishedWeights) -> str:
    """Return the command that brings the published weights of the network `model`."""
    return f"cxr-data weights {model}" if published.origin else f"dvc pull weights/{model}/{published.filename}"


def md5_of(path: Path) -> str:
    """Return the MD5 of the file's bytes, 32 lower-case hexadecimal digits; a name for a file, not a protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(published: PublishedWeights, folder: Path, track: Track = untracked) -> bool:
    """Put the published file into `folder`, whole or not at all; another file of its name there is replaced.

    Returns:
        False when the right file was there already, and nothing was fetched.

    Raises:
        WeightsError: It cannot be had, or what comes is another file than the published one.
    """
    path = folder / published.filename
    if path.is_file() and md5_of(path) == published.md5:
        return False
    with whole_file(path) as temporary:
        _download(published, temporary, folder, track)
        found = md5_of(temporary)
        if found != published.md5:
            raise WeightsError(
                f"{published.origin} gave a file with the md5 {found}, expected {published.md5}: the download broke "
                "off or something on the way changed it. Nothing was kept; try again"
            )
    return True


def _download(published: PublishedWeights, target: Path, folder: Path, track: Track) -> None:
    try:
        with urlopen(published.origin, timeout=TIMEOUT_SECONDS) as response:
            size = response.headers.get("Content-Length", "")
            _copy(response, target, int(size) if size.isdigit() else None, published, track)
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{published.origin} could not be fetched ({error}). Without a network, fetch that address on another "
            f"machine and put the file, under the same name, into {folder}"
        ) from error


def _copy(source: IO[bytes], target: Path, size: int | None, published: PublishedWeights, track: Track) -> None:
    total = None if size is None else -(-size // CHUNK)
    with target.open("wb") as file:
        for chunk in track(_chunks(source), f"{published.filename} (MiB)", total):
            file.write(chunk)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk
