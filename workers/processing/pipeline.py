"""The order in which an image is processed, in one place. Runs in the child.

One decode; the first resize pulls it through at the size of the largest target, so that turning, colour and
all further renditions work on few pixels.
"""

from typing import Any

from workers.processing import steps
from workers.processing.limits import ImageLimits
from workers.processing.request import ImageRequest

STEPS = (
    steps.probe,
    steps.read_metadata,
    steps.choose_orientation,
    steps.open_decoder,
    steps.shrink_to_largest,
    steps.turn_upright,
    steps.convert_color,
    steps.make_renditions,
    steps.make_placeholder,
)


def process(request: ImageRequest, limits: ImageLimits) -> dict[str, Any]:
    """Make the renditions of one image into its output_dir and describe it, JSON-safe.

    Raises MediaServiceError (see `failures`), MemoryError, and OSError or pyvips.Error if a rendition cannot
    be written.
    """
    work = steps.Work(request=request, limits=limits)
    for step in STEPS:
        step(work)
    return work.answer()
