"""From stored DICOM values to 8-bit luminance by what the object itself says (PS3.3 C.11.1 and C.11.2)."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ImageError, Reason
from cxr.luminance import scale_to_8_bit
from cxr.planes import Plane

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = NDArray[Any]
LUT_BITS = range(8, 17)


def luminance_of_stored(stored: Values, dataset: "Dataset") -> tuple[Plane, list[str]]:
    """Return luminance before any inversion, uint8 (Rows, Columns), and what was done.

    Args:
        stored: Integers of (Rows, Columns), unused bits cleared or sign-extended, as pydicom gives them.
        dataset: What they belong to.

    Raises:
        ImageError: An attribute of the transformations makes no sense.
    """
    steps: list[str] = []
    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation", 0)) == 1
    values: Values = stored.astype(np.int64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if int(values.min()) < low or int(values.max()) > high:
        raise ImageError(Reason.UNSUPPORTED, f"stored values do not fit BitsStored = {bits}")
    values, low, high = _modality(values, low, high, dataset, steps)
    if dataset.get("VOILUTSequence"):
        values, high = _looked_up(values, dataset.VOILUTSequence[0])
        steps.append("voi_lut")
        return _scaled(values, 0, high), steps
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        return np.rint(255 * _windowed(values, dataset, steps)).astype(np.uint8), steps
    steps.append(f"divided_by_{high - low:g}")
    return _scaled(values, low, high), steps


def _modality(
    values: Values, low: float, high: float, dataset: "Dataset", steps: list[str]
) -> tuple[Values, float, float]:
    """Apply the modality LUT or rescale to values and to the range that they can have."""
    if dataset.get("ModalityLUTSequence"):
        values, high = _looked_up(values, dataset.ModalityLUTSequence[0])
        steps.append("modality_lut")
        return values, 0, high
    slope, intercept = (
        float(dataset.get(name, default)) for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    if (slope, intercept) == (1.0, 0.0):
        return values, low, high
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ImageError(Reason.UNSUPPORTED, f"RescaleSlope = {slope:g}, RescaleIntercept = {intercept:g}")
    steps.append(f"rescaled={slope:g}:{intercept:g}")
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return values * slope + intercept, ends[0], ends[1]


def _looked_up(values: Values, item: "Dataset") -> tuple[Values, int]:
    """Apply a LUT; what lies before its first or after its last entry gets that entry. Also the largest output."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 2**16
    if bits not in LUT_BITS:
        raise ImageError(Reason.UNSUPPORTED, f"a LUT of {bits} bits; expected 8 to 16")
    data = item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(np.asarray(data, np.int64))
    if len(table) < entries:
        raise ImageError(Reason.TRUNCATED, f"a LUT of {len(table)} entries; expected {entries}")
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)
    return table[:entries].astype(np.int64)[places], 2**bits - 1


def _windowed(values: Values, dataset: "Dataset", steps: list[str]) -> NDArray[np.float64]:
    """Apply the first window; return 0 (black) to 1."""
    center, width = (_first(dataset[name].value) for name in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction", "") or "LINEAR").upper()
    if not np.isfinite([center, width]).all() or width <= 0 or (function == "LINEAR" and width < 1):
        raise ImageError(Reason.UNSUPPORTED, f"a window of center {center:g} and width {width:g}")
    if function == "SIGMOID":
        steps.append(f"window_sigmoid={center:g}:{width:g}")
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        steps.append(f"window_exact={center:g}:{width:g}")
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function != "LINEAR":
        raise ImageError(Reason.UNSUPPORTED, f"the VOI LUT function {function}")
    steps.append(f"window={center:g}:{width:g}")
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "__getitem__") else value)


def _scaled(values: Values, low: float, high: float) -> Plane:
    """Map `low` to 0 and `high` to 255, exactly where the values are integers."""
    if np.issubdtype(values.dtype, np.integer):
        return scale_to_8_bit(values - int(low), int(high - low))
    return np.rint(255 * (values - low) / (high - low)).astype(np.uint8)
