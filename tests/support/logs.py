"""What a server writes to its log."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any


@contextmanager
def written_log() -> Iterator[io.StringIO]:
    """The log of a server that is made inside of the block."""
    handlers = logging.getLogger().handlers[:]
    with redirect_stdout(io.StringIO()) as log:
        yield log
    logging.getLogger().handlers[:] = handlers


def lines_of(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]
