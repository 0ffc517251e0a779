"""The source formats that have a decoder, by sniffed type. Core room: values only."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """One format and the only decoders that may touch it."""

    name: str
    """As it appears in metadata."""
    pillow: str
    """For `Image.open(formats=[...])`. Never "MPO": with it in the list an unreadable file raises KeyError;
    phones' MPO files open as "JPEG"."""
    vips: str | None
    """The libvips loader class to unblock; None where Pillow or pi-heif decodes."""
    turned_by: tuple[Literal["exif", "xmp"], ...] = ("exif", "xmp")
    """Whose orientation still is to be applied, the first one found. In a HEIF container only its own irot
    and imir count (ISO 23000-22): the HEIC decoder has applied them; those of AVIF Pillow tells as EXIF."""


_PNG = SourceFormat("png", "PNG", "VipsForeignLoadPng")

SOURCE_FORMATS = {
    "image/jpeg": SourceFormat("jpeg", "JPEG", "VipsForeignLoadJpeg"),
    "image/png": _PNG,
    "image/apng": _PNG,
    "image/webp": SourceFormat("webp", "WEBP", "VipsForeignLoadWebp"),
    "image/gif": SourceFormat("gif", "GIF", "VipsForeignLoadNsgif"),
    "image/tiff": SourceFormat("tiff", "TIFF", "VipsForeignLoadTiff"),
    "image/bmp": SourceFormat("bmp", "BMP", None),
    "image/x-icon": SourceFormat("ico", "ICO", None),
    "image/avif": SourceFormat("avif", "AVIF", None, turned_by=("exif",)),
    "image/heic": SourceFormat("heic", "HEIF", None, turned_by=()),
    "image/heif": SourceFormat("heif", "HEIF", None, turned_by=()),
}
