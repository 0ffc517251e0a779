"""multipart/form-data by hand, so that tests can also send what no client library would."""

BOUNDARY = "test-boundary-8f3a"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def file_part(data: bytes, *, filename: str = "a.bin", field: str = "file", headers: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{field}"; filename="{filename}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\n{headers}\r\n".encode() + data + b"\r\n"


def text_part(name: str, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
