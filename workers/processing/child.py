"""The life of one decode child: confine, read a request, process, answer, vanish. Runs in the child."""

import os
import socket
import traceback
from typing import Any, NoReturn

from media_service.exceptions import MediaServiceError
from workers.processing import confinement, failures, protocol
from workers.processing.engine import is_out_of_memory
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.pipeline import process
from workers.processing.request import ImageRequest

_MAX_CAUSE_CHARS = 4000
"""Of a traceback's end: enough to find the line, and far below a message's bound."""


def run_child(
    channel: socket.socket, *, limits: SandboxLimits, image_limits: ImageLimits, zygote_pid: int
) -> NoReturn:
    """Never returns and runs no exit handler: those of the zygote are not the child's to run."""
    status = 1
    try:
        confinement.restore_signals()
        channel = confinement.keep_only(channel)
        confinement.confine(limits, zygote_pid=zygote_pid)
        channel.sendall(protocol.encode_line(_answer(channel, image_limits)))
        status = 0
    finally:
        os._exit(status)


def _answer(channel: socket.socket, image_limits: ImageLimits) -> dict[str, Any]:
    """`{"image": ...}` or `{"failure": {"code", "members", "cause"}}`."""
    try:
        request = ImageRequest.from_json(protocol.decode_line(protocol.read_line(channel)))
        confinement.enclose(request.output_dir)
        return {"image": process(request, image_limits)}
    except MediaServiceError as error:
        return _failure(error.code, error, error.members)
    except Exception as error:  # noqa: BLE001 - whatever it was, the worker must hear of it
        out_of_memory = is_out_of_memory(error)
        code = failures.SANDBOX_OUT_OF_MEMORY if out_of_memory else failures.SANDBOX_CRASHED
        return _failure(code, error, {})


def _failure(code: str, error: BaseException, members: dict[str, Any]) -> dict[str, Any]:
    cause = "".join(traceback.format_exception(error))[-_MAX_CAUSE_CHARS:]
    return {"failure": {"code": code, "members": members, "cause": cause}}
