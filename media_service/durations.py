"""Durations in settings. Core room."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _from_seconds(value: Any) -> Any:
    """A bare number means seconds, as people write it; ISO 8601 (PT30S) and hh:mm:ss are left to pydantic."""
    try:
        return timedelta(seconds=float(value)) if isinstance(value, str) else value
    except (ValueError, OverflowError):
        return value


_LONGEST = timedelta(days=365)

Duration = Annotated[timedelta, BeforeValidator(_from_seconds), Field(gt=timedelta(0), le=_LONGEST)]
"""A setting that is a length of time: `30`, `0.5`, `PT30S` or `00:00:30`."""

DurationOrNone = Annotated[timedelta, BeforeValidator(_from_seconds), Field(ge=timedelta(0), le=_LONGEST)]
"""The same where 0 means not at all."""
