"""The life of one decode child: confine, read a request, process, answer, vanish. Runs in the child."""

import os
import socket
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from media_service.exceptions import MediaServiceError
from workers.processing import confinement, failures, protocol
from workers.processing.engine import is_out_of_memory
from workers.processing.layers import Layers
from workers.processing.limits import SandboxLimits
from workers.processing.request import ImageRequest

_MAX_CAUSE_CHARS = 4000
"""Of a traceback's end: enough to find the line, and far below a message's bound."""


Process = Callable[[ImageRequest], dict[str, Any]]
"""The work itself: the pipeline, or in tests something that tries the walls."""


def run_child(
    channel: socket.socket, process: Process, *, limits: SandboxLimits, layers: Layers, zygote_pid: int
) -> NoReturn:
    """Never returns and runs no exit handler: those of the zygote are not the child's to run."""
    status = 1
    try:
        confinement.restore_signals()
        channel = confinement.keep_only(channel)
        confinement.confine(limits, zygote_pid=zygote_pid)
        _write(channel.fileno(), protocol.encode_line(_answer(channel, process, layers)))
        status = 0
    finally:
        os._exit(status)


def _answer(channel: socket.socket, process: Process, layers: Layers) -> dict[str, Any]:
    """`{"image": ...}` or `{"failure": {"code", "members", "cause"}}`."""
    try:
        request = ImageRequest.from_json(protocol.decode_line(protocol.read_line(channel)))
        confinement.enclose(source=request.source, output_dir=request.output_dir, layers=layers)
        return {"image": process(request)}
    except MediaServiceError as error:
        return _failure(error.code, error, error.members)
    except Exception as error:  # noqa: BLE001 - whatever it was, the worker must hear of it
        out_of_memory = is_out_of_memory(error)
        code = failures.SANDBOX_OUT_OF_MEMORY if out_of_memory else failures.SANDBOX_CRASHED
        return _failure(code, error, {})


def _write(descriptor: int, line: bytes) -> None:
    # As to a file: send(2) is refused to an enclosed child, together with all that sockets can do.
    while line:
        line = line[os.write(descriptor, line) :]


def _failure(code: str, error: BaseException, members: dict[str, Any]) -> dict[str, Any]:
    cause = "".join(traceback.format_exception(error))[-_MAX_CAUSE_CHARS:]
    return {"failure": {"code": code, "members": members, "cause": cause}}
