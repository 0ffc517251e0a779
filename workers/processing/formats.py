"""The source formats that have a decoder, by sniffed type. Core room: values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """One format and the only decoders that may touch it."""

    name: str
    """As it appears in metadata."""
    pillow: str
    """For `Image.open(formats=[...])`. Never "MPO": with it in the list an unreadable file raises KeyError;
    phones' MPO files open as "JPEG"."""
    vips: str | None
    """The libvips loader class to unblock; None where pi-heif decodes."""


SOURCE_FORMATS = {
    "image/jpeg": SourceFormat("jpeg", "JPEG", "VipsForeignLoadJpeg"),
    "image/png": SourceFormat("png", "PNG", "VipsForeignLoadPng"),
    "image/webp": SourceFormat("webp", "WEBP", "VipsForeignLoadWebp"),
    "image/gif": SourceFormat("gif", "GIF", "VipsForeignLoadNsgif"),
    "image/heic": SourceFormat("heic", "HEIF", None),
    "image/heif": SourceFormat("heif", "HEIF", None),
}
