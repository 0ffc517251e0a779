"""IPTC as a few JSON-safe values. Runs in the child; the bytes are a stranger's. IPTC-IIM 4.2 §1.5.

A sequence of datasets: a marker, record and number, a length of 16 bits, data. Nothing in here raises.
"""

from collections.abc import Iterator
from typing import Any

from workers.processing.exif_values import to_text, to_texts

_MARKER = 0x1C
_APPLICATION_RECORD = 2
_HEADER_BYTES = 5
_EXTENDED = 0x8000
"""A length beyond 32 kB is spelled otherwise; no field read here is that long."""

_MAX_DATASETS = 1000
"""Photo agencies write some dozens."""

_SINGLE = {5: "title", 116: "rights", 120: "description"}
_REPEATED = {25: "keywords", 80: "creator"}


def describe_iptc(data: bytes) -> dict[str, Any]:
    """Of "title", "description", "creator", "rights" and "keywords" those that are present."""
    described: dict[str, Any] = {}
    repeated: dict[str, list[str]] = {}
    for number, text in _datasets(data):
        if number in _SINGLE and to_text(text):
            described.setdefault(_SINGLE[number], to_text(text))
        elif number in _REPEATED:
            repeated.setdefault(_REPEATED[number], []).append(text)
    lists = {name: to_texts(texts) for name, texts in repeated.items()}
    return described | {name: texts for name, texts in lists.items() if texts}


def _datasets(data: bytes) -> Iterator[tuple[int, str]]:
    place = 0
    for _ in range(_MAX_DATASETS):
        header = data[place : place + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES or header[0] != _MARKER:
            return
        length = int.from_bytes(header[3:], "big")
        if length >= _EXTENDED:
            return
        place += _HEADER_BYTES + length
        if header[1] == _APPLICATION_RECORD:
            yield header[2], _to_string(data[place - length : place])


def _to_string(data: bytes) -> str:
    # Dataset 1:90 names the character set, and is missing or wrong as often as not.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
