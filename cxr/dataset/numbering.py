"""The numbers in file names: a release's own order, in which collections stand one after the other."""

import re
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def file_numbers(files: "pd.Series[str]") -> NDArray[np.int64]:
    """Return int64 (n,): the last number in each file's name, -1 where there is none."""
    found = [re.findall(r"\d+", PurePosixPath(file).stem) for file in files]
    return np.array([int(numbers[-1]) if numbers else -1 for numbers in found], np.int64)
