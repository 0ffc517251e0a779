"""The query of a raw upload, and how Swagger describes the two forms of an upload. API room."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from media_service.files.lifecycle import Visibility


class RawUploadQuery(BaseModel):
    """What a raw body cannot say of itself; a form says it in fields."""

    filename: Annotated[str | None, Field(max_length=1024, description="Name of a raw body.")] = None
    visibility: Annotated[Visibility | None, Field(description="For a raw body.")] = None
    tags: Annotated[list[str] | None, Field(description="For a raw body; may be repeated.")] = None
    custom: Annotated[str | None, Field(description="For a raw body: a JSON object.")] = None


IDEMPOTENCY_KEY = (
    "Any text of your own that is new for each upload, such as a UUID. The same request under the same key, "
    "within 24 hours, is answered with what the first one made."
)

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One or several files as a form, or one file as the body itself.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "sha256": {
                            "type": "string",
                            "example": "",
                            "pattern": "^([0-9A-Fa-f]{64})?$",
                            "description": "SHA-256 (hex) of the file that follows this field.",
                        },
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "Files; the field may have any name and be repeated.",
                        },
                        "visibility": {"type": "string", "enum": ["private", "public"], "default": "private"},
                        "tags": {"type": "array", "items": {"type": "string"}, "example": []},
                        "custom": {"type": "string", "description": "A JSON object.", "example": "{}"},
                    },
                },
                "encoding": {"tags": {"style": "form", "explode": True}},
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""The handler takes a plain Request, since any declared body would be read before it runs."""
