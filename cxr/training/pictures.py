"""Small pictures of a network's answers, drawn with Pillow: a confusion matrix, and a sheet of radiographs."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr.planes import Plane

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
