"""The OpenAPI document: what the framework finds, and problems instead of its own errors. API room."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from media_service.web.responses import RATE_LIMIT_HEADERS, Problem, complete

DESCRIPTION = """
Upload files, get thumbnails and metadata, download by stream or signed URL.

Send an API key, or the access token of a login, as `Authorization: Bearer ...`; uploads also take an upload
token, which is 403 `missing-scope` anywhere else. Every error is `application/problem+json` (RFC 9457); its
`type` is a page that explains it.

What is no HTTP/1.1, or a head that never ends, is answered before any operation: 400 `malformed-http`,
408 `header-timeout`. An address that does not take a method: 405 with `Allow`.
"""

TAGS = [
    {"name": "Files", "description": "Upload, list, describe, change and delete files."},
    {
        "name": "Resumable uploads",
        "description": "tus 1.0.0 and the IETF draft, told apart by their headers.",
    },
    {
        "name": "Direct uploads",
        "description": "Bytes that go to the storage itself, and the files made of them.",
    },
    {"name": "Companion", "description": "Uppy Companion's contract for S3, for Uppy's AwsS3 plugin."},
    {"name": "Downloads", "description": "The bytes of originals and renditions."},
    {"name": "Jobs", "description": "What the workers do."},
    {"name": "Accounts", "description": "Users, logins and API keys."},
    {"name": "Upload tokens", "description": "What a browser may hold to upload, and for nothing else."},
    {"name": "Operations", "description": "Whether the service is well."},
]

UNLIMITED_PATHS = frozenset({"/livez", "/readyz"})
"""What load balancers and supervisors ask as often as they like; all other operations have a rate limit."""


def operation_id(route: APIRoute) -> str:
    """The name of the handler: stable, and a good method name in generated clients."""
    return route.name


def install_openapi(app: FastAPI) -> None:
    """Make the app describe its errors as they are."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = document["components"]["schemas"]
            schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            # Nothing answers in FastAPI's own form of a validation error.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            document["components"]["headers"] = RATE_LIMIT_HEADERS
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    complete(operation, is_limited=path not in UNLIMITED_PATHS)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents
