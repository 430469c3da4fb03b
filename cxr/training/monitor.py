"""Let TensorBoard show a training: curves, graph, confusion and sample answers; and say where its bytes will differ."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr.core.errors import OutputError
from cxr.core.files import read_json
from cxr.core.image import Plane
from cxr.core.params import RuntimeParams
from cxr.inference.network import softmax
from cxr.models.backend import keras, tf
from cxr.training.devices import choose_devices, environment
from cxr.training.loop import CallbackFactory, Fitting

Picture = NDArray[np.uint8]

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Okabe and Ito 2008: told apart by colour-blind readers as well.
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)
FONT = ImageFont.load_default(13)
CELL, MARGIN = 110, 24  # of the confusion matrix, pixels; a cell grows with the longest name
TILE, FRAME, LINE, GAP = 160, 6, 17, 6  # of the sheet, pixels
COLUMNS = 4


def spread(targets: NDArray[np.float32], number: int) -> NDArray[np.intp]:
    """Choose rows spread over the classes: by turns one of each class, evenly through its rows.

    Args:
        targets: (n, classes), one in the column of the class.
        number: How many, where there are as many.

    Returns:
        Row numbers, sorted by class and then by row; the same for the same targets.
    """
    labels = targets.argmax(axis=1)
    wanted = dict.fromkeys(range(targets.shape[1]), 0)
    available = np.bincount(labels, minlength=targets.shape[1])
    while sum(wanted.values()) < min(number, len(labels)):
        # Of those that have any left, the class with the fewest so far.
        open_classes = [label for label in wanted if wanted[label] < available[label]]
        wanted[min(open_classes, key=wanted.__getitem__)] += 1
    chosen = [
        rows[np.linspace(0, len(rows) - 1, wanted[label]).astype(int)]
        for label in wanted
        if len(rows := np.flatnonzero(labels == label))
    ]
    return np.concatenate(chosen)


def confusion_picture(actual: NDArray[np.intp], predicted: NDArray[np.intp], classes: tuple[str, ...]) -> Picture:
    """Draw counts of actual (rows) by predicted (columns), shaded by the share of the row.

    Args:
        actual: (n,) numbers of classes.
        predicted: (n,) numbers of classes.
        classes: Their names.

    Returns:
        uint8 (height, width, 3).
    """
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (actual, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    longest = round(max(FONT.getlength(name) for name in classes))
    cell, left, top = max(CELL, longest + GAP), MARGIN + longest, 2 * MARGIN
    side = cell * len(classes)
    image = Image.new("RGB", (left + side + GAP, top + side + GAP), WHITE)
    draw = ImageDraw.Draw(image)
    draw.text((left + side / 2, MARGIN / 2), "rows: actual, columns: predicted", BLACK, FONT, anchor="mm")
    for row, name in enumerate(classes):
        draw.text((left - GAP, top + cell * (row + 0.5)), name, BLACK, FONT, anchor="rm")
        draw.text((left + cell * (row + 0.5), top - MARGIN / 2), name, BLACK, FONT, anchor="mm")
        for column in range(len(classes)):
            box = (left + cell * column, top + cell * row, left + cell * (column + 1), top + cell * (row + 1))
            _cell(draw, box, int(counts[row, column]), shares[row, column])
    return np.asarray(image)


def sample_sheet(
    planes: Plane, actual: NDArray[np.intp], probabilities: NDArray[np.floating], classes: tuple[str, ...]
) -> Picture:
    """Draw radiographs in rows of four, framed blue where the answer is right and orange where it is wrong.

    Below each: the actual class, and the answer with its probability.

    Args:
        planes: uint8 (n, side, side).
        actual: (n,) numbers of classes.
        probabilities: (n, classes).
        classes: Their names.

    Returns:
        uint8 (height, width, 3).
    """
    width, height = TILE + 2 * FRAME + GAP, TILE + 2 * FRAME + 2 * LINE + GAP
    rows = -(-len(planes) // COLUMNS)
    image = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), WHITE)
    draw = ImageDraw.Draw(image)
    for number, (plane, truth, chances) in enumerate(zip(planes, actual, probabilities, strict=True)):
        answer = int(chances.argmax())
        left, top = GAP + number % COLUMNS * width, GAP + number // COLUMNS * height
        colour = RIGHT if answer == truth else WRONG
        draw.rectangle((left, top, left + TILE + 2 * FRAME - 1, top + TILE + 2 * FRAME - 1), colour)
        image.paste(Image.fromarray(plane).resize((TILE, TILE)), (left + FRAME, top + FRAME))
        below = top + TILE + 2 * FRAME
        draw.text((left, below), classes[truth], BLACK, FONT)
        draw.text((left, below + LINE), f"-> {classes[answer]} {chances[answer]:.2f}", colour, FONT)
    return np.asarray(image)


def _cell(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], count: int, share: float) -> None:
    shade = tuple(round(255 + (dark - 255) * share) for dark in RIGHT)
    draw.rectangle(box, shade, BLACK)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    draw.text(middle, f"{count}\n{share:.0%}", WHITE if share > 0.5 else BLACK, FONT, anchor="mm", align="center")


PHASES = ("whole", "head", "fine_tune")
EVENTS = "events.out.tfevents.*"
BATCH = 64
SHOWN = 16


def tensorboard_callbacks(folder: Path) -> CallbackFactory:
    """Return a watch that records below `<folder>/<network>/<phase>/`; show it by `tensorboard --logdir <folder>`.

    The first phase of a training takes the place of all that an earlier training of the network recorded there.

    Args:
        folder: Made where it is absent.

    Raises:
        OutputError: TensorBoard is not installed, or `folder` is a file.
    """
    if find_spec("tensorboard") is None:
        raise OutputError(
            f"TensorBoard is not installed, so nothing can be recorded in {folder}: pip install '.[tensorboard]', "
            "or train without --runs and CXR_RUNS"
        )
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --runs and CXR_RUNS expect a folder, which may be absent")

    def make_callbacks(fitting: Fitting) -> list[keras.callbacks.Callback]:
        return [Recorder(folder / fitting.name, fitting)]

    return make_callbacks


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Write one phase's events; epochs are numbered as in history.csv."""

    def __init__(self, folder: Path, fitting: Fitting) -> None:
        """Remove an earlier training's events and open the files of this one.

        Args:
            folder: Of the network; each phase has a folder within it.
            fitting: What is fitted.
        """
        super().__init__()
        self._fitting = fitting
        for phase in PHASES if fitting.first_epoch == 0 else (fitting.phase,):
            remove_events(folder / phase)
        (folder / fitting.phase).mkdir(parents=True, exist_ok=True)
        self._writer = tf.summary.create_file_writer(str(folder / fitting.phase))
        self._shown = spread(fitting.targets, SHOWN)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's
        """Write the graph from inputs to logits."""
        self._answer = answering(self.model, self._fitting.inputs)
        with self._writer.as_default(step=self._fitting.first_epoch):
            tf.summary.graph(self._answer.get_concrete_function().graph)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write what Keras measured, the learning rate reached, and two pictures of the answers on validation."""
        scalars = dict(logs or {}) | {"learning_rate": float(self.model.optimizer.learning_rate)}
        probabilities = softmax(self._logits())
        fitting, shown = self._fitting, self._shown
        actual, predicted = fitting.targets.argmax(axis=1), probabilities.argmax(axis=1)
        pictures = {
            "validation/confusion": confusion_picture(actual, predicted, fitting.classes),
            "validation/answers": sample_sheet(
                fitting.planes[shown], actual[shown], probabilities[shown], fitting.classes
            ),
        }
        with self._writer.as_default(step=fitting.first_epoch + epoch + 1):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            for name, picture in pictures.items():
                tf.summary.image(name, picture[np.newaxis])
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Close the files."""
        self._writer.close()

    def _logits(self) -> NDArray[np.float32]:
        inputs = self._fitting.inputs
        parts = [self._answer(inputs[start : start + BATCH]).numpy() for start in range(0, len(inputs), BATCH)]
        return np.concatenate(parts)


def remove_events(folder: Path) -> None:
    """Remove TensorBoard's files in `folder`, and no others: the folder is the user's choice."""
    for path in sorted(folder.glob(EVENTS)):
        path.unlink()


def answering(model: keras.Model, inputs: NDArray[Any]) -> "tf.types.experimental.PolymorphicFunction":
    """Return `model` as it answers after training, as one graph for batches of any size of what `inputs` are."""
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype)]
    return tf.function(lambda batch: model(batch, training=False), input_signature=signature)


# In the order in which they are said.
REASONS = {
    "machine": "other processors add in another order",
    "instructions": "other instructions add in another order",
    "devices": "other devices add in another order",
    "python": "other wheels give other weights",
    "tensorflow": "other wheels give other weights",
    "keras": "other wheels give other weights",
    "numpy": "other wheels give other weights",
    "openvino": "other wheels export other bytes",
}


def compare(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a sentence for each difference that moves bytes, in the order of REASONS; what one side lacks is passed.

    Args:
        recorded: The environment of an earlier training, as model.json has it.
        here: The environment of the next one.
    """
    return [
        f"trained with {_named(key, recorded[key])}, here {here[key]}: {reason}"
        for key, reason in REASONS.items()
        if key in recorded and key in here and recorded[key] != here[key]
    ]


def warn_of_other_environment(path: Path, name: str, runtime: RuntimeParams) -> None:
    """Say on stderr how this machine differs from the one that trained the recorded network; nothing where it does not.

    Args:
        path: `reports/environment.json`: environments by network. Absent or unreadable, it promises nothing, and
            nothing is said.
        name: The network about to be trained.
        runtime: Chooses the devices.

    Raises:
        ParamsError: As `choose_devices`.
    """
    choose_devices(runtime)
    differences = compare(_recorded(path, name), environment())
    if differences:
        sys.stderr.write(
            f"train_{name}: the weights will differ from the recorded ones: {'; '.join(differences)}. "
            "dvc metrics diff shows what moved\n"
        )


def _recorded(path: Path, name: str) -> Mapping[str, str]:
    try:
        recorded = read_json(path)
    except (OSError, ValueError):
        return {}
    own = recorded.get(name) if isinstance(recorded, dict) else None
    return own if isinstance(own, dict) else {}


def _named(key: str, value: str) -> str:
    return value if key in ("machine", "devices") else f"{key} {value}"
