"""Requests as bytes, made before the clock starts."""

from collections.abc import Mapping

BOUNDARY = "bench-boundary-7f3a9c"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def head(method: str, path: str, headers: Mapping[str, str], *, length: int = 0) -> bytes:
    """The head of an HTTP/1.1 request on a connection that is kept."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def form_start(filename: str, content_type: str) -> bytes:
    """What stands before the bytes of a form's only file."""
    disposition = f'Content-Disposition: form-data; name="file"; filename="{filename}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: {content_type}\r\n\r\n".encode()


FORM_END = f"\r\n--{BOUNDARY}--\r\n".encode()


def form_post(path: str, headers: Mapping[str, str], data: bytes, *, filename: str = "file.bin") -> bytes:
    """A whole multipart POST of one file."""
    content_type = "image/jpeg" if filename.endswith(".jpg") else "application/octet-stream"
    body = form_start(filename, content_type) + data + FORM_END
    return head("POST", path, {**headers, "Content-Type": MULTIPART}, length=len(body)) + body
