"""multipart/form-data as a stream of events (RFC 7578). API room.

The parser is pushed the chunks as they come from the socket, so neither a file nor the form is ever held
whole. `UploadFile` would spool the body to disk before a handler could refuse it.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.uploads.headers import extended_filename, repeats_a_parameter
from media_service.uploads.limits import (
    MAX_FIELD_BYTES,
    MAX_FIELDS_BYTES,
    MAX_OUTSIDE_BYTES,
    MAX_PART_HEADER_BYTES,
    MAX_PART_HEADERS,
    MAX_PARTS,
)

PLAIN_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})
"""Values of Content-Transfer-Encoding that leave the bytes as they are (RFC 2045 §6.2)."""


@dataclass(frozen=True, slots=True)
class Field:
    """A text field, whole."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileBegin:
    """A file follows: its data, then its end."""

    field: str
    filename: str


@dataclass(frozen=True, slots=True)
class FileData:
    data: memoryview


@dataclass(frozen=True, slots=True)
class FileEnd:
    pass


FormEvent = Field | FileBegin | FileData | FileEnd


async def read_form(content_type: str, chunks: AsyncIterable[bytes]) -> AsyncIterator[FormEvent]:
    """The events of a form, in order, as its bytes arrive.

    Raises MediaServiceError (invalid) for a body that is no form, or one over the limits above.
    """
    reader = _FormReader(_boundary(content_type))
    async for chunk in chunks:
        for event in reader.push(chunk):
            yield event
    reader.check_complete()


def closing_size(content_type: str) -> int:
    """How many bytes end every form of this Content-Type, after its last file (RFC 2046 §5.1.1).

    Raises MediaServiceError (invalid) as `read_form` does.
    """
    return len(b"\r\n--" + _boundary(content_type) + b"--\r\n")


def _boundary(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary or repeats_a_parameter(content_type):
        raise _malformed("The Content-Type has no boundary, or more than one.")
    return boundary


class _FormReader:
    """Adapts the parser's callbacks to a list of events per chunk."""

    def __init__(self, boundary: bytes) -> None:
        callbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(
                boundary,
                callbacks,  # type: ignore[arg-type]  # a TypedDict in the library, the same keys here
                max_header_count=MAX_PART_HEADERS,
                max_header_size=MAX_PART_HEADER_BYTES,
            )
        except FormParserError as error:
            raise _malformed("The boundary is too long.") from error
        self._events: list[FormEvent] = []
        self._parts = 0
        self._outside_bytes = 0
        self._fields_bytes = 0
        self._ended = False
        self._begin_part()

    def push(self, chunk: bytes) -> list[FormEvent]:
        """What a chunk brought."""
        self._events = []
        was_ended = self._ended
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed("The body does not follow multipart/form-data.") from error
        if was_ended or self._parts == 0:
            self._count_outside(len(chunk))
        return self._events

    def check_complete(self) -> None:
        """Raise for a body that stopped before its closing boundary."""
        if not self._ended:
            raise _malformed("The body ends before its closing boundary.")

    def _count_outside(self, size_bytes: int) -> None:
        self._outside_bytes += size_bytes
        if self._outside_bytes > MAX_OUTSIDE_BYTES:
            raise _malformed("The body goes on outside of its parts.")

    def _begin_part(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header_name = b""
        self._header_value = b""
        self._field_name = ""
        self._field_value = bytearray()
        self._is_file = False

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MediaServiceError(
                ErrorKind.INVALID,
                "too-many-parts",
                f"A form may have at most {MAX_PARTS} parts.",
                limit=MAX_PARTS,
            )
        self._begin_part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header_name.lower()
        if name == b"content-disposition" and name in self._headers:
            raise _malformed("A part has two Content-Dispositions.")
        self._headers[name] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in PLAIN_ENCODINGS:
            raise MediaServiceError(
                ErrorKind.UNSUPPORTED_TYPE,
                "unsupported-content-encoding",
                "Parts are stored as the bytes they are; send them without a Content-Transfer-Encoding.",
            )
        header = self._headers.get(b"content-disposition", b"").decode("latin-1")
        disposition, options = parse_options_header(header)
        if disposition != b"form-data" or b"name" not in options or repeats_a_parameter(header):
            raise _malformed("A part has no 'Content-Disposition: form-data' with one name.")
        self._field_name = options[b"name"].decode("utf-8", "replace")
        filename = _filename(header, options)
        self._is_file = filename is not None
        if filename is not None:
            self._events.append(FileBegin(self._field_name, filename))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._events.append(FileData(memoryview(data)[start:end]))
            return
        self._field_value += data[start:end]
        self._fields_bytes += end - start
        if len(self._field_value) > MAX_FIELD_BYTES:
            raise self._field_too_large("A text field", MAX_FIELD_BYTES)
        if self._fields_bytes > MAX_FIELDS_BYTES:
            raise self._field_too_large("The text fields of a form", MAX_FIELDS_BYTES)

    def _field_too_large(self, what: str, limit_bytes: int) -> MediaServiceError:
        return MediaServiceError(
            ErrorKind.TOO_LARGE,
            "field-too-large",
            f"{what} may have at most {limit_bytes} bytes. A file needs a filename.",
            limit_bytes=limit_bytes,
            field=self._field_name[:100],
        )

    def _on_part_end(self) -> None:
        if self._is_file:
            self._events.append(FileEnd())
        else:
            value = bytes(self._field_value).decode("utf-8", "replace")
            self._events.append(Field(self._field_name, value))

    def _on_end(self) -> None:
        self._ended = True


def _filename(header: str, options: dict[bytes, bytes]) -> str | None:
    """The name of a file; None for a text field.

    RFC 7578 §4.2 forbids `filename*`, so it counts only where it stands alone: old clients send it so, and
    without it their file would be taken for text.
    """
    if b"filename" not in options:
        return extended_filename(header)
    # HTML forms escape a quote in a name this way, and nothing else but line breaks.
    return options[b"filename"].decode("utf-8", "replace").replace("%22", '"')


def _malformed(detail: str) -> MediaServiceError:
    return MediaServiceError(ErrorKind.INVALID, "malformed-multipart", detail)
