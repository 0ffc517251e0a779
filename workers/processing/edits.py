"""The steps that make one image on the fly, in the order of `pipeline.EDIT_STEPS`. Runs in the child.

They go on where `steps.py` has read and judged the header. Each works on all frames of `EditWork.frames`; a
still picture has one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pyvips

from workers.processing import encode, failures, pages, pixels
from workers.processing import probe as header_probe
from workers.processing.engine import allow_loader
from workers.processing.geometry import Size, place, resized, upright
from workers.processing.request import MARK_FILE, Edit, rendition_file_name
from workers.processing.steps import Work, decoding, open_decoder

MARK_MARGIN = 0.02
"""Between a watermark and the edge, as a part of the shorter side."""

_QUARTERS = frozenset({90, 270})
_TURNS: dict[int, Callable[[pyvips.Image], pyvips.Image]] = {
    90: lambda image: image.rot90(),
    180: lambda image: image.rot180(),
    270: lambda image: image.rot270(),
}
_FLIPS: dict[str, Callable[[pyvips.Image], pyvips.Image]] = {
    "h": lambda image: image.fliphor(),
    "v": lambda image: image.flipver(),
    "hv": lambda image: image.rot180(),
}


@dataclass(slots=True)
class EditWork(Work):
    """What is known so far about one edit."""

    frames: list[pyvips.Image] = field(default_factory=list)
    delays_ms: list[int] = field(default_factory=list)
    loop: int = 0
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def edit(self) -> Edit:
        assert self.request.edit is not None  # noqa: S101 - the pipeline looked
        return self.request.edit

    @property
    def resized(self) -> Size:
        """The whole picture, upright and rotated, before anything is cut off or added."""
        edit = self.edit
        return resized(
            _rotated(self.displayed, edit.rotate), width=edit.width, height=edit.height, fit=edit.fit
        )

    @property
    def largest(self) -> Size:
        """The same as displayed, so before it is rotated."""
        return _rotated(self.resized, self.edit.rotate)

    @property
    def size(self) -> Size:
        return Size(self.frames[0].width, self.frames[0].height)

    def each(self, change: Callable[[pyvips.Image], pyvips.Image]) -> None:
        self.frames = [change(frame) for frame in self.frames]

    def answer(self) -> dict[str, Any]:
        return {"renditions": [self.made]}


def open_pages(work: EditWork) -> None:
    """The first page lazily, as for renditions; more than that, or another one, at once."""
    edit = work.edit
    if edit.page > work.header.frames:
        raise failures.failure(failures.NO_SUCH_PAGE, pages=work.header.frames)
    count = _frames_kept(work)
    if edit.page == 1 and count == 1:
        open_decoder(work)
        work.frames, work.image = [work.image], None
        work.delays_ms = [0]
        return
    if work.source_format.name not in pages.PAGED_FORMATS:
        raise failures.failure(failures.NO_SUCH_PAGE, pages=1)
    with decoding():
        found = pages.decode_pages(
            work.request.source, work.source_format.name, first=edit.page - 1, count=count
        )
    work.frames, work.delays_ms, work.loop = found.images, found.delays_ms, found.loop
    header_probe.check_size(work.size, work.limits)
    work.header = replace(work.header, size=work.size)
    work.has_alpha = bool(work.frames[0].hasalpha())


def _frames_kept(work: EditWork) -> int:
    """As many as were asked for, are there, and fit into memory together."""
    fitting = work.limits.max_pixels // (work.header.size.width * work.header.size.height)
    return max(1, min(work.edit.frames, work.header.frames, fitting))


def shrink_frames(work: EditWork) -> None:
    """Decode what is still lazy, by pulling all rows through the resize. Damage in the file shows here."""
    header_probe.check_size(work.resized, work.limits)  # a strip that covers a box is enlarged without bound
    size = upright(work.largest, work.orientation)
    with decoding():
        work.each(lambda frame: pixels.resize(frame, size).copy_memory())
    work.decoded = None  # its buffers are the largest of all


def turn_frames(work: EditWork) -> None:
    work.each(lambda frame: pixels.turn_upright(frame, work.orientation))
    if turn := _TURNS.get(work.edit.rotate):
        work.each(turn)
    if flip := _FLIPS.get(work.edit.flip):
        work.each(flip)


def convert_frames(work: EditWork) -> None:
    work.each(lambda frame: pixels.to_srgb(frame).copy_memory())


def fit_box(work: EditWork) -> None:
    """Cut off what is outside of the box (cover), or fill it up (contain)."""
    edit = work.edit
    if edit.width is None or edit.height is None:
        return
    box = Size(edit.width, edit.height)
    if edit.fit == "cover" and work.size != box:
        left, top = _crop_corner(work, box)
        work.each(lambda frame: frame.crop(left, top, *box).copy_memory())
    elif edit.fit == "contain" and work.size != box:
        work.each(lambda frame: _padded(frame, box, edit))


def _crop_corner(work: EditWork, box: Size) -> tuple[int, int]:
    if work.edit.gravity != "smart":
        return place(work.size, box, work.edit.gravity)
    # One place for all frames, or the picture would jump about. libvips tells where it cut.
    crop = work.frames[0].smartcrop(*box, interesting="attention")
    return -crop.xoffset, -crop.yoffset


def _padded(frame: pyvips.Image, box: Size, edit: Edit) -> pyvips.Image:
    left, top = place(box, Size(frame.width, frame.height), "center")
    if edit.background is not None:
        frame, background = pixels.flatten(frame, _rgb(edit.background)), _rgb(edit.background)
    elif edit.format == "jpeg":
        frame, background = pixels.flatten(frame), [255, 255, 255]
    else:
        frame, background = frame if frame.hasalpha() else frame.addalpha(), [0, 0, 0, 0]
    return frame.embed(left, top, *box, extend="background", background=background).copy_memory()


def blur(work: EditWork) -> None:
    if work.edit.blur:
        work.each(lambda frame: pixels.on_premultiplied(frame, lambda image: image.gaussblur(work.edit.blur)))


def sharpen(work: EditWork) -> None:
    """Unsharp mask on lightness alone, so that no colour fringes appear; strengths are those of sharp."""
    if work.edit.sharpen:
        work.each(lambda frame: pixels.sharpen(frame, work.edit.sharpen))


def fill_background(work: EditWork) -> None:
    """Nothing stays transparent where a colour was asked for."""
    if work.edit.background is not None:
        colour = _rgb(work.edit.background)
        work.each(lambda frame: pixels.flatten(frame, colour))


def add_watermark(work: EditWork) -> None:
    mark = work.edit.mark
    if mark is None:
        return
    allow_loader("VipsForeignLoadPng")
    picture = pyvips.Image.pngload(str(work.request.output_dir / MARK_FILE), fail_on="error")
    width = max(1, round(work.size.width * mark.scale))
    whole = resized(Size(picture.width, picture.height), width=width, height=work.size.height, fit="contain")
    picture = pixels.resize(picture, whole)
    picture = picture if picture.hasalpha() else picture.addalpha()
    picture = (picture * [1, 1, 1, mark.opacity]).cast("uchar").copy(interpretation="srgb").copy_memory()
    margin = round(min(work.size) * MARK_MARGIN)
    left, top = place(work.size, whole, mark.gravity, margin=margin)
    work.each(lambda frame: pixels.lay_over(frame, picture, left, top))


def write(work: EditWork) -> None:
    """Encode, as one animation if there are several frames."""
    edit = work.edit
    path = work.request.output_dir / rendition_file_name(0, edit.format)
    encode.encode(_joined(work), path, target_format=edit.format, quality=edit.quality)
    work.made = {
        "width_px": work.size.width,
        "height_px": work.size.height,
        "size_bytes": path.stat().st_size,
        "sha256": encode.sha256_of(path),
    }


def _joined(work: EditWork) -> pyvips.Image:
    if len(work.frames) == 1:
        return work.frames[0]
    tall = pyvips.Image.arrayjoin(work.frames, across=1).copy()
    tall.set_type(pyvips.GValue.gint_type, "page-height", work.size.height)
    tall.set_type(pyvips.GValue.array_int_type, "delay", work.delays_ms)
    tall.set_type(pyvips.GValue.gint_type, "loop", work.loop)
    return tall


def _rotated(size: Size, degrees: int) -> Size:
    return Size(size.height, size.width) if degrees in _QUARTERS else size


def _rgb(digits: str) -> list[int]:
    return list(bytes.fromhex(digits))
