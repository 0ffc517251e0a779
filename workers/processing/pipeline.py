"""The order in which an image is processed, in one place. Runs in the child.

One decode; the first resize pulls it through at the size of the largest target, so that turning, colour and
all further renditions work on few pixels. Eager renditions and images on the fly begin alike.
"""

from typing import Any

from workers.processing import edits, steps
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
"""Every preset of a file."""

EDIT_STEPS = (
    steps.probe,
    steps.read_metadata,
    steps.choose_orientation,
    edits.open_pages,
    edits.shrink_frames,
    edits.turn_frames,
    edits.convert_frames,
    edits.fit_box,
    edits.blur,
    edits.sharpen,
    edits.fill_background,
    edits.add_watermark,
    edits.write,
)
"""One image on the fly; a still picture is an animation of one frame."""


def process(request: ImageRequest, limits: ImageLimits) -> dict[str, Any]:
    """Make the renditions of one image, or its edit, into its output_dir and describe it, JSON-safe.

    Raises MediaServiceError (see `failures`), MemoryError, and OSError or pyvips.Error if a rendition cannot
    be written.
    """
    if request.edit is not None:
        edit = edits.EditWork(request=request, limits=limits)
        for edit_step in EDIT_STEPS:
            edit_step(edit)
        return edit.answer()
    work = steps.Work(request=request, limits=limits)
    for step in STEPS:
        step(work)
    return work.answer()
