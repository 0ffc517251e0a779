"""Bounds of a form, whatever is in it. Core room."""

MAX_PARTS = 100
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS_BYTES = 256 * 1024
"""Of all text fields together: they are held until the form ends."""
MAX_OUTSIDE_BYTES = 64 * 1024
"""Before the first boundary and after the last one. RFC 2046 allows text there and nobody sends it; without a
bound a form could go on for ever and be no byte larger for it."""
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 8 * 1024
"""Of one header line; a name of 255 characters, percent-encoded twice over, fits."""
MAX_ENVELOPE_BYTES = 8 * 1024 * 1024
"""All of a form that is not bytes of files: what the bounds above allow together (6.7 MiB), boundaries, and a
chunk that counts as outside only from the next one on. What a form declares beyond this has to be files."""
