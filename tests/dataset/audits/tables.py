"""Headers, films and releases for tests of the audits."""

import numpy as np
import pandas as pd
from PIL import Image

from tests.tables import manifest


def labelled(per_class, labels=("covid", "normal", "viral")):
    """Return labels (n,) and groups (n,) of unrelated images."""
    names = np.repeat(np.array(labels), per_class)
    return names, np.arange(len(names))


def headers(rng, labels, modes=None):
    """Return headers of 8-bit PNG files whose size says nothing of the class; `modes` by label, else `L`."""
    count = len(labels)
    size = rng.integers(15_000, 30_000, count)
    mode = [(modes or {}).get(label, "L") for label in labels]
    return pd.DataFrame(
        {
            "file": [f"{label}/images/{i}.png" for i, label in enumerate(labels)],
            "bytes": size,
            "format": "PNG",
            "mode": mode,
            "channels": [3 if name == "RGB" else 1 for name in mode],
            "bit_depth": 8,
            "width": 299,
            "height": 299,
            "bits_per_pixel": (8 * size / 299**2).round(3),
            "chunks": "IHDR IDAT IEND",
            "exif": 0,
            "icc": 0,
            "dpi": 0,
            "text": 0,
            "progressive": 0,
        }
    )


def numbered(count, label="normal"):
    """Return a manifest of one class whose files are numbered from 1, shuffled."""
    table = manifest({label: count})
    table["file"] = [f"{label}/images/{label}-{number}.png" for number in range(1, count + 1)]
    return table.sample(frac=1, random_state=3).reset_index(drop=True)


def films(rng, count, side=299):
    """Return uint8 (count, side, side): two dark lungs that all share, and a cloudy pattern of each one's own."""
    y, x = np.mgrid[-1:1:299j, -1:1:299j]
    lungs = sum(np.exp(-(((x - centre) / 0.3) ** 2) - (y / 0.6) ** 2) for centre in (-0.45, 0.45))
    drawn = []
    for _ in range(count):
        coarse = Image.fromarray(rng.normal(0, 1, (12, 12)).astype(np.float32)).resize((299, 299), Image.BICUBIC)
        grey = 150 - 70 * lungs + 30 * np.asarray(coarse) + rng.normal(0, 3, (299, 299))
        drawn.append(np.asarray(Image.fromarray(np.clip(grey, 0, 230).astype(np.uint8)).resize((side, side))))
    return np.stack(drawn)
