"""From what a job's socket said to a result or an error. Worker room; reads a stranger's bytes.

A child may have been taken over by the media it decoded: its line is checked value by value, and its files
are taken only if they are plain files at the places the worker itself chose.
"""

import re
import signal
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from media_service.exceptions import MediaServiceError
from media_service.transforms.image_spec import ImageSpec
from media_service.transforms.spec import Preset
from workers.processing import failures, protocol
from workers.processing.request import rendition_file_name
from workers.processing.results import MadeRendition, ProcessedImage

Result = TypeVar("Result")

_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_reply(reply: bytes, *, presets: Sequence[Preset], output_dir: Path) -> ProcessedImage:
    """Judge the child's line by the zygote's verdict. Raises MediaServiceError (see `failures`)."""
    return _judge(reply, lambda image: _to_result(image, presets, output_dir))


def read_edit_reply(reply: bytes, *, spec: ImageSpec, output_dir: Path) -> MadeRendition:
    """The same for one image on the fly."""
    path = output_dir / rendition_file_name(0, spec.format)

    def to_rendition(image: dict[str, Any]) -> MadeRendition:
        [made] = image["renditions"]
        return _to_rendition(made, path, name="", content_type=spec.content_type, recipe=spec.digest)

    return _judge(reply, to_rendition)


def _judge(reply: bytes, to_result: Callable[[dict[str, Any]], Result]) -> Result:
    lines = [line for line in reply.split(b"\n") if line]
    try:
        verdict = protocol.decode_line(lines.pop())
        _raise_for(verdict)
        return to_result(_image_of(protocol.decode_line(lines.pop())))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError) as error:
        raise failures.failure(failures.SANDBOX_CRASHED) from error


def _raise_for(verdict: dict[str, Any]) -> None:
    if verdict["timed_out"] or verdict["signal"] == signal.SIGXCPU:
        raise failures.failure(failures.SANDBOX_TIMEOUT)
    if verdict["signal"] is not None:
        raise failures.failure(failures.SANDBOX_CRASHED, signal=int(verdict["signal"]))
    if verdict["exit_status"] != 0:
        raise failures.failure(failures.SANDBOX_CRASHED, exit_status=int(verdict["exit_status"]))


def _image_of(answer: dict[str, Any]) -> dict[str, Any]:
    if "failure" in answer:
        raise _to_error(answer["failure"]) from failures.SandboxCause(str(answer["failure"]["cause"]))
    return dict(answer["image"])


def _to_result(image: dict[str, Any], presets: Sequence[Preset], output_dir: Path) -> ProcessedImage:
    return ProcessedImage(
        metadata=dict(image["metadata"]),
        placeholder={name: str(image["placeholder"][name]) for name in ("thumbhash", "color")},
        renditions=tuple(
            _to_rendition(
                made,
                output_dir / rendition_file_name(index, preset.format),
                name=preset.name,
                content_type=preset.content_type,
                recipe=preset.recipe,
            )
            for index, (made, preset) in enumerate(zip(image["renditions"], presets, strict=True))
        ),
    )


def _to_error(described: dict[str, Any]) -> MediaServiceError:
    return failures.failure(
        described["code"], **{str(name): int(value) for name, value in described["members"].items()}
    )


def _to_rendition(
    made: dict[str, Any], path: Path, *, name: str, content_type: str, recipe: str
) -> MadeRendition:
    size_bytes = _size_of_plain_file(path)
    if size_bytes != made["size_bytes"] or not _SHA256.fullmatch(made["sha256"]):
        raise ValueError("a rendition is not what the child said")
    return MadeRendition(
        name=name,
        path=path,
        content_type=content_type,
        width_px=int(made["width_px"]),
        height_px=int(made["height_px"]),
        size_bytes=size_bytes,
        sha256=made["sha256"],
        recipe=recipe,
    )


def _size_of_plain_file(path: Path) -> int:
    # A link would make the worker publish whatever it points to.
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise ValueError("a rendition is not a plain file")
    return status.st_size
