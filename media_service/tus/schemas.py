"""How the OpenAPI document shows headers and bodies that no handler declares. API room."""

from typing import Any


def _request_header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_NUMBER = {"type": "string", "pattern": "^[0-9]{1,15}$"}
_FLAG = {"type": "string", "enum": ["?0", "?1"]}
_TEXT = {"type": "string", "maxLength": 1024}

_VERSIONS = [
    _request_header("Tus-Resumable", {"type": "string", "enum": ["1.0.0"]}, "Speaks tus 1.0.0."),
    _request_header(
        "Upload-Draft-Interop-Version", {"type": "string", "enum": ["5", "6", "7", "8", "9", "10"]},
        "Speaks the IETF draft of this version."),
]  # fmt: skip

UPLOAD_HEADERS: dict[str, Any] = {"parameters": _VERSIONS}

CREATION_HEADERS: dict[str, Any] = {
    "parameters": [
        *_VERSIONS,
        _request_header("Upload-Length", _NUMBER, "Bytes of the whole."),
        _request_header(
            "Upload-Defer-Length", {"type": "string", "enum": ["1"]}, "The length comes later (tus)."
        ),
        _request_header(
            "Upload-Metadata", _TEXT, "`filename`, `filetype`, `visibility`, `tags`, `custom` (tus)."
        ),
        _request_header(
            "Upload-Concat", _TEXT, "`partial`, or `final;` and the addresses of its pieces (tus)."
        ),
        _request_header("Upload-Checksum", _TEXT, "Algorithm and base64 digest of the body (tus)."),
        _request_header("Upload-Complete", _FLAG, "Whether the body ends the upload (draft)."),
    ]
}

PATCH_HEADERS: dict[str, Any] = {
    "parameters": [
        *_VERSIONS,
        _request_header("Upload-Offset", _NUMBER, "Where the bytes of the body begin."),
        _request_header("Upload-Length", _NUMBER, "Bytes of the whole, if it was not said before."),
        _request_header("Upload-Checksum", _TEXT, "Algorithm and base64 digest of the body (tus)."),
        _request_header("Upload-Complete", _FLAG, "Whether the body ends the upload (draft)."),
        _request_header(
            "X-HTTP-Method-Override", {"type": "string", "enum": ["PATCH", "DELETE", "HEAD"]}, "For POST."),
    ]
}  # fmt: skip

_BYTES = {"schema": {"type": "string", "format": "binary"}}
BYTES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Bytes of the file; the first type is that of tus, the second that of the draft.",
        "content": {"application/offset+octet-stream": _BYTES, "application/partial-upload": _BYTES},
    }
}
MAYBE_BYTES_BODY: dict[str, Any] = {"requestBody": {**BYTES_BODY["requestBody"], "required": False}}


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
