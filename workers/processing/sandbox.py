"""Hostile media is decoded in a killable child; this is the worker process's door to it. Worker room.

Loads no decoder. Start it after the worker process was forked, never before.
"""

import contextlib
import socket
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from media_service.transforms.image_spec import ImageSpec
from media_service.transforms.spec import Preset
from workers.processing import failures, protocol
from workers.processing.formats import SOURCE_FORMATS
from workers.processing.layers import Layers
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.replies import read_edit_reply, read_reply
from workers.processing.request import Edit, ImageRequest, Mark, Target
from workers.processing.results import MadeRendition, ProcessedImage
from workers.processing.zygote_process import ZygoteProcess

log = structlog.get_logger(__name__)

_GRACE_SECONDS = 10
"""How long after the wall-clock limit the zygote's verdict may come before the zygote itself is given up."""


class Sandbox:
    """Processes files in children of one warm zygote. Blocking and safe to use from many threads.

    A zygote that died is replaced by the next call. The caller bounds how many jobs run at once.
    """

    def __init__(self, *, limits: SandboxLimits, image_limits: ImageLimits) -> None:
        self._limits = limits
        self._image_limits = image_limits
        self._lock = threading.Lock()
        self._zygote: ZygoteProcess | None = None
        self._layers: Layers | None = None

    def start(self) -> None:
        """Start the zygote now instead of with the first job. Raises MediaServiceError "sandbox-crashed"."""
        with self._lock:
            self._living_zygote()

    def close(self) -> None:
        """End the zygote and every running job. May be called twice; a later job starts a new zygote."""
        with self._lock:
            self._discard_zygote()

    def is_alive(self) -> bool:
        """Whether a zygote is there to take a job without starting one."""
        zygote = self._zygote
        return zygote is not None and zygote.is_alive()

    @property
    def zygote_pid(self) -> int | None:
        """For diagnosis; None before the start."""
        zygote = self._zygote
        return zygote.pid if zygote else None

    @property
    def layers(self) -> Layers | None:
        """Which of the kernel's walls stand around the children; None before the first start."""
        return self._layers

    def process_image(
        self, source: Path, *, content_type: str, presets: Sequence[Preset], output_dir: Path
    ) -> ProcessedImage:
        """Make one rendition per preset into `output_dir`, which exists, is empty and is this job's alone.

        `content_type` is the sniffed one; ValueError for a type without a decoder. Raises MediaServiceError:
        unprocessable with "unreadable-media", "image-too-many-pixels", "image-too-large-side" or
        "too-many-frames"; crashed with "sandbox-crashed", "sandbox-timeout" or "sandbox-out-of-memory". After
        an error files may lie in `output_dir`.
        """
        _check_decoder(content_type)
        request = ImageRequest(source.resolve(), content_type, output_dir.resolve(), _to_targets(presets))
        return read_reply(self._ask(request), presets=presets, output_dir=output_dir)

    def edit_image(
        self, source: Path, *, content_type: str, spec: ImageSpec, output_dir: Path
    ) -> MadeRendition:
        """Make one image on the fly into `output_dir`, where its watermark lies if it has one (MARK_FILE).

        Raises as `process_image`; also unprocessable with "no-such-page".
        """
        _check_decoder(content_type)
        request = ImageRequest(source.resolve(), content_type, output_dir.resolve(), edit=_to_edit(spec))
        return read_edit_reply(self._ask(request), spec=spec, output_dir=output_dir)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: ImageRequest) -> bytes:
        line = protocol.encode_line(request.to_json())
        # Nothing at all came back: the zygote died with the job unbegun in its queue, so a new one may try.
        return self._converse(line) or self._converse(line)

    def _converse(self, line: bytes) -> bytes:
        """One job: the request in, all that its socket says out (nothing if no zygote took it)."""
        with self._open_job() as channel:
            channel.settimeout(self._limits.wall_seconds + _GRACE_SECONDS)
            # A child that died before it read leaves a broken pipe; the verdict behind it says why.
            with contextlib.suppress(ConnectionError):
                channel.sendall(line)
            try:
                return protocol.read_all(channel)
            except (OSError, ValueError) as error:
                raise failures.failure(failures.SANDBOX_CRASHED) from error

    def _open_job(self) -> socket.socket:
        with self._lock:
            try:
                return self._living_zygote().open_job()
            except OSError:
                # It died between the look and the message; a new one has not had the chance.
                self._discard_zygote()
                return self._living_zygote().open_job()

    def _living_zygote(self) -> ZygoteProcess:
        if self._zygote is None or not self._zygote.is_alive():
            self._discard_zygote()
            self._zygote = self._start_zygote()
            self._report(self._zygote.layers)
        return self._zygote

    def _report(self, layers: Layers) -> None:
        if layers == self._layers:
            return  # a zygote that replaces another one is no news
        self._layers = layers
        for name in layers.missing():
            log.warning("sandbox.layer_missing", layer=name)
        if not layers.missing():
            log.info("sandbox.layers_complete", **asdict(layers))

    def _start_zygote(self) -> ZygoteProcess:
        try:
            return ZygoteProcess(limits=self._limits, image_limits=self._image_limits)
        except (OSError, RuntimeError) as error:
            raise failures.failure(failures.SANDBOX_CRASHED) from error

    def _discard_zygote(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


def _check_decoder(content_type: str) -> None:
    if content_type not in SOURCE_FORMATS:
        raise ValueError(f"no decoder for {content_type}")


def _to_edit(spec: ImageSpec) -> Edit:
    mark = spec.watermark
    return Edit(
        width=spec.width,
        height=spec.height,
        fit=spec.fit,
        gravity=spec.gravity,
        quality=spec.quality or 0,
        format=spec.format,
        blur=spec.blur,
        sharpen=spec.sharpen,
        rotate=spec.rotate,
        flip=spec.flip,
        background=spec.background,
        page=spec.page,
        frames=spec.frames,
        mark=None if mark is None else Mark(mark.gravity, mark.scale, mark.opacity),
    )


def _to_targets(presets: Sequence[Preset]) -> tuple[Target, ...]:
    return tuple(Target(p.width_px, p.height_px, p.format, p.quality, p.fit) for p in presets)
