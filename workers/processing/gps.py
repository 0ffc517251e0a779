"""The GPS part of EXIF as degrees and metres. Runs in the child. CIPA DC-008 §4.6.6."""

from collections.abc import Mapping
from typing import Any

from workers.processing.exif_values import to_number

_BELOW_SEA_LEVEL = (1, b"\x01")


def read_gps(tags: Mapping[int, Any]) -> dict[str, float]:
    """Give "latitude" and "longitude" in degrees (both or neither) and "altitude" in metres."""
    found: dict[str, float] = {}
    latitude = _degrees(tags.get(2), tags.get(1), negative="S", limit=90)
    longitude = _degrees(tags.get(4), tags.get(3), negative="W", limit=180)
    if latitude is not None and longitude is not None:
        found.update(latitude=latitude, longitude=longitude)
    altitude = _altitude(tags.get(6), tags.get(5))
    if altitude is not None:
        found["altitude"] = altitude
    return found


def _degrees(value: object, reference: object, *, negative: str, limit: int) -> float | None:
    parts = [to_number(part) for part in value] if isinstance(value, tuple) else []
    known = [part for part in parts if part is not None]
    if len(known) != 3 or len(parts) != 3:
        return None
    degrees = known[0] + known[1] / 60 + known[2] / 3600
    if not 0 <= degrees <= limit:
        return None
    # Seven decimals are a centimetre; more would be noise of the division.
    return round(-degrees if reference == negative else degrees, 7)


def _altitude(value: object, reference: object) -> float | None:
    metres = to_number(value)
    if metres is None:
        return None
    return round(-metres if reference in _BELOW_SEA_LEVEL else metres, 2)
