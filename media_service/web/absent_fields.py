"""Fields of a PATCH that may be left out, but not be null. Core room.

In Python both are None: what a client sent is in `model_fields_set`, and the schema has to say it by itself.
"""

from collections.abc import Callable, Collection
from typing import Any

from pydantic import BaseModel


def describe_never_null(*names: str) -> Callable[[dict[str, Any]], None]:
    """A `json_schema_extra` that takes null from the types of these fields."""

    def describe(schema: dict[str, Any]) -> None:
        for name in names:
            field = schema["properties"][name]
            del field["default"]
            field.update(next(kind for kind in field.pop("anyOf") if kind.get("type") != "null"))

    return describe


def check_never_null(change: BaseModel, names: Collection[str]) -> None:
    """Raises ValueError if one of these fields was sent as null."""
    nulls = [name for name in names if name in change.model_fields_set and getattr(change, name) is None]
    if nulls:
        raise ValueError(f"{', '.join(nulls)} may be left out, but not be null")
