"""Messages between a worker process, its zygote and the children. Core room: bytes and values.

On the control socket the zygote says one line when it has imported everything and will take jobs: the
layers of its sandbox. Then the socket carries one byte and one descriptor per job: the child's end of that
job's own socket pair. On the job's socket the worker writes one line (the request) and the child one line
(its answer); the zygote writes an empty line before the fork and one line (the verdict) when the child is
dead. A line is JSON without raw newlines. The verdict is always the last one, so a child that was killed in
mid-line cannot garble it and one that was taken over cannot speak after it.
"""

import json
import socket
from typing import Any

MAX_LINE_BYTES = 64 * 1024
"""A request with 64 presets or an answer with full EXIF is below 16 KiB; more is a defect or an attack."""

MAX_REPLY_BYTES = MAX_LINE_BYTES + 4096
"""The child's line and the zygote's verdict."""

STARTED = b"\n"
"""An empty line by the zygote before it forks. A job's socket that ends without it was never begun."""

JOB = b"j"
"""Travels with a job's descriptor."""


def encode_line(value: dict[str, Any]) -> bytes:
    """One line of strict JSON. Raises ValueError for NaN, infinity or more than MAX_LINE_BYTES."""
    # Backslashes make of a lone surrogate the escape that JSON has for it.
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    line = text.encode("utf-8", "backslashreplace") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"a message of {len(line)} bytes is longer than {MAX_LINE_BYTES}")
    return line


def decode_line(line: bytes) -> dict[str, Any]:
    """Raises ValueError for anything but one strict JSON object."""
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for all malformed input
    return value


def _refuse_constant(name: str) -> None:
    # Python's parser takes NaN and Infinity, PostgreSQL's jsonb does not.
    raise ValueError(f"{name} is not JSON")


def read_line(channel: socket.socket) -> bytes:
    """Up to and without the newline. Raises ValueError if it is missing or beyond MAX_LINE_BYTES."""
    received = bytearray()
    while len(received) <= MAX_LINE_BYTES:
        chunk = channel.recv(MAX_LINE_BYTES)
        received += chunk
        if received.endswith(b"\n"):
            return bytes(received[:-1])
        if not chunk:
            break
    raise ValueError("no whole line")


def read_all(channel: socket.socket) -> bytes:
    """To the end of the stream. Raises ValueError beyond MAX_REPLY_BYTES, TimeoutError as the socket does."""
    received = bytearray()
    while chunk := _receive(channel):
        received += chunk
        if len(received) > MAX_REPLY_BYTES:
            raise ValueError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
    return bytes(received)


def _receive(channel: socket.socket) -> bytes:
    # A peer that dies with our line unread resets the stream (unix(7)); what it said before still counts.
    try:
        return channel.recv(MAX_LINE_BYTES)
    except ConnectionResetError:
        return b""
