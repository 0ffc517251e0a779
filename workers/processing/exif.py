"""EXIF as JSON-safe values. Runs in the child; the bytes are a stranger's. CIPA DC-008 (Exif 3.0).

Nothing in here raises: a photo with nonsense in its metadata is still a photo.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from workers.processing.exif_values import to_integer, to_number, to_text
from workers.processing.gps import read_gps

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_ORIENTATION, _TAKEN_AT, _TAKEN_AT_OFFSET = 0x0112, 0x9003, 0x9011
_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")


def load_exif(data: bytes) -> Image.Exif:
    """Parse raw EXIF; what cannot be parsed is empty."""
    exif = Image.Exif()
    try:
        exif.load(data)
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything on hostile IFDs
        return Image.Exif()
    return exif


def load_exif_of_tiff(source: Path) -> Image.Exif:
    """The tags of a TIFF file's first page, which is such a structure itself; empty as above."""
    exif = Image.Exif()
    try:
        with source.open("rb") as file:
            exif.load_from_fp(file)
            for ifd in (_EXIF_IFD, _GPS_IFD):  # kept by the object, which cannot read when the file is shut
                exif.get_ifd(ifd)
    except Exception:  # noqa: BLE001 - as above
        return Image.Exif()
    return exif


def orientation_of(exif: Image.Exif) -> int:
    """1 to 8; anything else in the tag means 1."""
    return valid_orientation(_tags(exif, None).get(_ORIENTATION))


def valid_orientation(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def describe_exif(exif: Image.Exif) -> dict[str, Any]:
    """The fields of `_TIFF_FIELDS` and `_EXIF_FIELDS` that are present, "taken_at" and "gps"."""
    photo = _tags(exif, _EXIF_IFD)
    described = {
        **_pick(_tags(exif, None), _TIFF_FIELDS),
        **_pick(photo, _EXIF_FIELDS),
        "taken_at": _taken_at(photo),
        "gps": read_gps(_tags(exif, _GPS_IFD)),
    }
    return {name: value for name, value in described.items() if value not in (None, "", {})}


def _tags(exif: Image.Exif, ifd: int | None) -> Mapping[int, Any]:
    try:
        return dict(exif if ifd is None else exif.get_ifd(ifd))
    except Exception:  # noqa: BLE001 - as above; values are parsed lazily
        return {}


def _pick(
    tags: Mapping[int, Any], fields: Mapping[int, tuple[str, Callable[[object], Any]]]
) -> dict[str, Any]:
    return {name: read(tags[tag]) for tag, (name, read) in fields.items() if tag in tags}


def _taken_at(photo: Mapping[int, Any]) -> str | None:
    """ISO 8601; with an offset only if the camera wrote one, since a camera without one does not know it."""
    date = _DATE.match(to_text(photo.get(_TAKEN_AT)) or "")
    if date is None:
        return None
    offset = to_text(photo.get(_TAKEN_AT_OFFSET)) or ""
    zone = offset if _OFFSET.fullmatch(offset) else ""
    year, month, day, time = date.groups()
    try:
        return datetime.fromisoformat(f"{year}-{month}-{day}T{time}{zone}").isoformat()
    except ValueError:
        return None


_TIFF_FIELDS: dict[int, tuple[str, Callable[[object], Any]]] = {
    0x010E: ("description", to_text),
    0x010F: ("make", to_text),
    0x0110: ("model", to_text),
    _ORIENTATION: ("orientation", to_integer),
    0x0131: ("software", to_text),
    0x013B: ("artist", to_text),
    0x8298: ("copyright", to_text),
}

_EXIF_FIELDS: dict[int, tuple[str, Callable[[object], Any]]] = {
    0x829A: ("exposure_time", to_number),
    0x829D: ("f_number", to_number),
    0x8827: ("iso", to_integer),
    0x9204: ("exposure_bias", to_number),
    0x9209: ("flash", to_integer),
    0x920A: ("focal_length", to_number),
    0xA405: ("focal_length_35mm", to_integer),
    0xA433: ("lens_make", to_text),
    0xA434: ("lens", to_text),
}
