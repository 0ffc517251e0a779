"""How the OpenAPI document shows headers and bodies that no handler declares. API room."""

from typing import Any


def _request_header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_TEXT = {"type": "string"}
"""Which values are good depends on the protocol that the other headers choose; no schema can say that."""

_VERSIONS = [
    _request_header("Tus-Resumable", _TEXT, "Speaks tus 1.0.0."),
    _request_header(
        "Upload-Draft-Interop-Version", _TEXT,
        "Speaks the IETF draft of this version."),
]  # fmt: skip

UPLOAD_HEADERS: dict[str, Any] = {"parameters": _VERSIONS}

CREATION_HEADERS: dict[str, Any] = {
    "parameters": [
        *_VERSIONS,
        _request_header("Upload-Length", _TEXT, "Bytes of the whole."),
        _request_header("Upload-Defer-Length", _TEXT, "The length comes later (tus)."),
        _request_header(
            "Upload-Metadata", _TEXT, "`filename`, `filetype`, `visibility`, `tags`, `custom` (tus)."
        ),
        _request_header(
            "Upload-Concat", _TEXT, "`partial`, or `final;` and the addresses of its pieces (tus)."
        ),
        _request_header("Upload-Checksum", _TEXT, "Algorithm and base64 digest of the body (tus)."),
        _request_header("Upload-Complete", _TEXT, "Whether the body ends the upload (draft)."),
    ]
}

PATCH_HEADERS: dict[str, Any] = {
    "parameters": [
        *_VERSIONS,
        _request_header("Upload-Offset", _TEXT, "Where the bytes of the body begin."),
        _request_header("Upload-Length", _TEXT, "Bytes of the whole, if it was not said before."),
        _request_header("Upload-Checksum", _TEXT, "Algorithm and base64 digest of the body (tus)."),
        _request_header("Upload-Complete", _TEXT, "Whether the body ends the upload (draft)."),
        _request_header(
            "X-HTTP-Method-Override", _TEXT, "For POST."),
    ]
}  # fmt: skip

_BYTES = {"schema": {"type": "string", "format": "binary"}}
BYTES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,  # no bytes at all are a legal PATCH
        "description": "Bytes of the file; the first type is that of tus, the second that of the draft.",
        "content": {"application/offset+octet-stream": _BYTES, "application/partial-upload": _BYTES},
    }
}


def _response_headers(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in names}


_PROGRESS = ("Upload-Offset", "X-File-Id", "Content-Location")
_FILE: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/FileOut"}}}

DISCOVERED: dict[int | str, dict[str, Any]] = {
    204: {
        "description": "What the server can do.",
        "headers": _response_headers(
            "Tus-Resumable",
            "Tus-Version",
            "Tus-Extension",
            "Tus-Max-Size",
            "Tus-Checksum-Algorithm",
            "Upload-Limit",
        ),
    }
}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "Begun. The body describes the file if all bytes came along (draft).",
        "headers": _response_headers("Location", *_PROGRESS),
    }
}
LOOKED: dict[int | str, dict[str, Any]] = {
    200: {"description": "How far it is (tus).", "headers": _response_headers("Upload-Length", *_PROGRESS)},
    204: {"description": "How far it is (draft).", "headers": _response_headers("Upload-Length", *_PROGRESS)},
}
APPENDED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Complete; the body describes the file (draft).",
        "headers": _response_headers(*_PROGRESS),
        "content": _FILE,
    },
    204: {"description": "Taken.", "headers": _response_headers(*_PROGRESS)},
}
TERMINATED: dict[int | str, dict[str, Any]] = {204: {"description": "Ended."}}
