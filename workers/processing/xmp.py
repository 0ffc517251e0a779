"""XMP as a few JSON-safe values. Runs in the child; the bytes are a stranger's. ISO 16684-1.

Nothing in here raises. No DTD, no entity and no extended XMP is read.
"""

from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

from workers.processing.exif_values import to_text, to_texts

MAX_XMP_BYTES = 256 * 1024
"""Four times what fits one JPEG segment. Longer packets hold edit histories and embedded pictures."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_RATING = "{http://ns.adobe.com/xap/1.0/}Rating"
_ORIENTATION = "{http://ns.adobe.com/tiff/1.0/}Orientation"


def describe_xmp(data: bytes) -> dict[str, Any]:
    """Of title, description, creator, rights, keywords, rating and orientation those that are present."""
    described = {name: read(root) for root in _parse(data) for name, read in _FIELDS.items()}
    return {name: value for name, value in described.items() if value not in (None, "", [])}


def _parse(data: bytes) -> Iterator[Element]:
    if not 0 < len(data) <= MAX_XMP_BYTES:
        return
    try:
        yield ElementTree.fromstring(data.strip(b"\0 \r\n\t"), forbid_dtd=True)
    except Exception:  # noqa: BLE001 - expat, defusedxml and wrong encodings each raise their own
        return


def _list(root: Element, name: str) -> list[str]:
    """The items of the first array of that name, or its plain text."""
    for found in root.iter(name):
        items = list(found.iter(_RDF + "li"))
        # The default language first, ISO 16684-1 8.2.2.4.
        items.sort(key=lambda item: item.get(_LANGUAGE, "x-default") != "x-default")
        texts = [item.text for item in items] or [found.text]
        return to_texts(texts)
    return []


def _first(root: Element, name: str) -> str | None:
    return next(iter(_list(root, name)), None)


def _integer(root: Element, name: str, allowed: range) -> int | None:
    """A simple property, which may be an element or an attribute."""
    elements = (found.text for found in root.iter(name))
    attributes = (found.get(name) for found in root.iter(_RDF + "Description"))
    text = next((text for source in (attributes, elements) for text in source if text), "")
    try:
        value = int(float((to_text(text) or "")[:8]))
    except (ValueError, OverflowError):
        return None
    return value if value in allowed else None


_FIELDS: dict[str, Callable[[Element], Any]] = {
    "title": lambda root: _first(root, _DC + "title"),
    "description": lambda root: _first(root, _DC + "description"),
    "creator": lambda root: _list(root, _DC + "creator"),
    "rights": lambda root: _first(root, _DC + "rights"),
    "keywords": lambda root: _list(root, _DC + "subject"),
    "rating": lambda root: _integer(root, _RATING, range(-1, 6)),
    "orientation": lambda root: _integer(root, _ORIENTATION, range(1, 9)),
}
