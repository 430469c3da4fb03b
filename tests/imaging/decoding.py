"""What decoding gives or says, for tests of bytes."""

import pytest

from cxr.core.errors import ImageError
from cxr.core.image import Plane
from cxr.imaging.decode import decode_bytes


def luminance(data: bytes) -> Plane:
    return decode_bytes(data, 16)[0]


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as error:
        decode_bytes(data, 16)
    return error.value
