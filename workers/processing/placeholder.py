"""What a page shows while the picture loads. Runs in the child."""

import base64

import numpy as np
import pyvips
import thash

from workers.processing import pixels
from workers.processing.geometry import Size

BOX = Size(100, 100)
"""ThumbHash is defined for at most 100 x 100."""


def make_placeholder(image: pyvips.Image) -> dict[str, str]:
    """ThumbHash and average colour of 8-bit sRGB pixels that fit BOX."""
    rgba = image if image.hasalpha() else image.bandjoin(255)
    flat = np.frombuffer(rgba.write_to_memory(), np.uint8)
    digest = bytes(thash.rgba_to_thumb_hash(rgba.width, rgba.height, flat))
    return {"thumbhash": base64.b64encode(digest).decode(), "color": _average_color(image)}


def _average_color(image: pyvips.Image) -> str:
    # Over white, as a page would show it: the hidden colour of transparent pixels must not count.
    opaque = pixels.flatten(image)
    samples = np.frombuffer(opaque.write_to_memory(), np.uint8).reshape(-1, 3)
    red, green, blue = (round(float(value)) for value in samples.mean(axis=0))
    return f"#{red:02x}{green:02x}{blue:02x}"
