"""Three renditions as tutorials make them: open, thumbnail, save, three times over."""

from pathlib import Path

from PIL import Image

SIZES = (256, 800, 1600)
QUALITY = 80
"""As our presets have it, so that bytes and errors can be compared."""


def make_thumbnails(source: Path, folder: Path, *, format_name: str) -> list[Path]:
    """One file per size."""
    made = []
    for size in SIZES:
        with Image.open(source) as image:
            image.thumbnail((size, size))
            target = folder / f"{size}.{format_name}"
            image.save(target, format_name.upper(), quality=QUALITY)
        made.append(target)
    return made
