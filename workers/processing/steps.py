"""The steps of the image pipeline, in the order of `pipeline.STEPS`. Runs in the child."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyvips

from workers.processing import decode, encode, exif, failures, iptc, pixels, placeholder, xmp
from workers.processing import probe as header_probe
from workers.processing.engine import allow_loader, is_out_of_memory
from workers.processing.formats import SOURCE_FORMATS, SourceFormat
from workers.processing.geometry import Size, fit_inside, jpeg_shrink, place, resized, upright
from workers.processing.limits import ImageLimits
from workers.processing.request import ImageRequest, Target, rendition_file_name


@dataclass(slots=True)
class Work:
    """What is known so far about one image; each step reads some of it and adds its own."""

    request: ImageRequest
    limits: ImageLimits
    header: header_probe.Header = field(init=False)
    orientation: int = 1
    """What is still to be done to the pixels; `exif` keeps what the file says."""
    exif: dict[str, Any] = field(default_factory=dict)
    xmp: dict[str, Any] = field(default_factory=dict)
    iptc: dict[str, Any] = field(default_factory=dict)
    decoded: decode.Decoded | None = None
    image: pyvips.Image = None
    """Before `make_renditions` the picture at its largest size, then the smallest one made so far."""
    has_alpha: bool = False
    renditions: dict[int, dict[str, Any]] = field(default_factory=dict)
    placeholder: dict[str, str] = field(default_factory=dict)

    @property
    def source_format(self) -> SourceFormat:
        return SOURCE_FORMATS[self.request.content_type]

    @property
    def displayed(self) -> Size:
        return upright(self.header.size, self.orientation)

    @property
    def largest(self) -> Size:
        """As displayed: what the biggest target, or the placeholder, needs of the picture."""
        return max([fit_inside(self.displayed, placeholder.BOX), *map(self.whole, self.request.targets)])

    def whole(self, target: Target) -> Size:
        """The whole picture as a target needs it, before anything is cut off.

        A strip that would have to be enlarged beyond the limits to fill a box only fits it.
        """
        box = Size(target.width_px, target.height_px)
        size = resized(self.displayed, width=box.width, height=box.height, fit=target.fit)
        is_within = (
            size.width * size.height <= self.limits.max_pixels and max(size) <= self.limits.max_side_px
        )
        return size if is_within else fit_inside(self.displayed, box)

    def answer(self) -> dict[str, Any]:
        return {
            "metadata": {
                "width": self.displayed.width,
                "height": self.displayed.height,
                "format": self.source_format.name,
                "frames": self.header.frames,
                "has_alpha": self.has_alpha,
                "color_space": self.header.color_space,
                "exif": self.exif,
                "xmp": self.xmp,
                "iptc": self.iptc,
                "duration": None,
            },
            "placeholder": self.placeholder,
            "renditions": [made for _, made in sorted(self.renditions.items())],
        }


def probe(work: Work) -> None:
    """Shut every decoder but one, then read and judge the header."""
    if work.source_format.vips:
        allow_loader(work.source_format.vips)
    work.header = header_probe.read_header(work.request.source, work.source_format, work.limits)


def read_metadata(work: Work) -> None:
    is_tiff = work.source_format.name == "tiff"
    loaded = exif.load_exif_of_tiff(work.request.source) if is_tiff else exif.load_exif(work.header.exif)
    work.exif = exif.describe_exif(loaded)
    work.xmp = xmp.describe_xmp(work.header.xmp)
    work.iptc = iptc.describe_iptc(work.header.iptc)
    if "orientation" in work.exif:
        work.xmp.pop("orientation", None)  # a copy, which editors forget to change when they turn a picture


def choose_orientation(work: Work) -> None:
    """What is still to be applied: once, and only by whoever turns pictures of this format."""
    if work.header.is_upright:
        return
    if "exif" in work.source_format.turned_by and "orientation" in work.exif:
        work.orientation = exif.valid_orientation(work.exif["orientation"])
    elif "xmp" in work.source_format.turned_by:
        work.orientation = work.xmp.get("orientation", 1)


def open_decoder(work: Work) -> None:
    """Open the decoder, and check its own reading of the header: two parsers may be told different sizes."""
    shrink = jpeg_shrink(work.header.size, upright(work.largest, work.orientation))
    with decoding():
        work.decoded = decode.decode(work.request.source, work.source_format.name, shrink=shrink)
    work.image = work.decoded.image
    header_probe.check_size(Size(work.image.width, work.image.height), work.limits)
    work.has_alpha = bool(work.image.hasalpha())


def shrink_to_largest(work: Work) -> None:
    """Decode, by pulling all rows through the first resize into memory. Damage in the file shows here."""
    with decoding():
        work.image = pixels.resize(work.image, upright(work.largest, work.orientation)).copy_memory()
    work.decoded = None  # its buffers are the largest of all


def turn_upright(work: Work) -> None:
    work.image = pixels.turn_upright(work.image, work.orientation)


def convert_color(work: Work) -> None:
    work.image = pixels.to_srgb(work.image).copy_memory()


def make_renditions(work: Work) -> None:
    """From the largest to the smallest, each out of the one before. All share an aspect, so sizes nest."""
    sizes = {index: work.whole(target) for index, target in enumerate(work.request.targets)}
    for index in sorted(sizes, key=lambda index: sizes[index], reverse=True):
        work.image = _resized(work.image, sizes[index])
        work.renditions[index] = _write(work, index)


def make_placeholder(work: Work) -> None:
    work.image = _resized(work.image, fit_inside(work.displayed, placeholder.BOX))
    work.placeholder = placeholder.make_placeholder(work.image)


def _resized(image: pyvips.Image, size: Size) -> pyvips.Image:
    # Into memory: the encoder and the next resize both read it, and it must be computed once.
    resized = pixels.resize(image, size)
    return image if resized is image else resized.copy_memory()


def _write(work: Work, index: int) -> dict[str, Any]:
    target = work.request.targets[index]
    path = work.request.output_dir / rendition_file_name(index, target.format)
    image = _cropped(work.image, target)
    encode.encode(image, path, target_format=target.format, quality=target.quality)
    return {
        "width_px": image.width,
        "height_px": image.height,
        "size_bytes": path.stat().st_size,
        "sha256": encode.sha256_of(path),
    }


def _cropped(image: pyvips.Image, target: Target) -> pyvips.Image:
    """The middle of it, where a target is filled; the whole goes on to the next size."""
    box = Size(target.width_px, target.height_px)
    if target.fit != "cover" or image.width < box.width or image.height < box.height:
        return image
    left, top = place(Size(image.width, image.height), box, "center")
    return image.crop(left, top, *box)


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever a decoder raises is the file's fault, unless it ran out of memory."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise failures.failure(failures.UNREADABLE_MEDIA) from error
