"""Operations on pixels: resize, turn, convert. Runs in the child. Image in, image out."""

from collections.abc import Callable

import pyvips

from workers.processing.geometry import Size

_WHITE = [255, 255, 255]

_TURNS: dict[int, Callable[[pyvips.Image], pyvips.Image]] = {
    2: lambda image: image.fliphor(),
    3: lambda image: image.rot180(),
    4: lambda image: image.flipver(),
    5: lambda image: image.rot90().fliphor(),
    6: lambda image: image.rot90(),
    7: lambda image: image.rot270().fliphor(),
    8: lambda image: image.rot270(),
}
"""What brings a picture of each EXIF orientation upright; turns are clockwise."""


def resize(image: pyvips.Image, size: Size) -> pyvips.Image:
    """Scale to exactly `size`. With alpha on premultiplied colours, else transparent pixels bleed in."""
    if (image.width, image.height) == size:
        return image
    across, down = size.width / image.width, size.height / image.height
    if not image.hasalpha():
        return image.resize(across, vscale=down)
    return image.premultiply().resize(across, vscale=down).unpremultiply().cast(image.format)


def turn_upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """Apply an EXIF orientation (TIFF 6.0, tag 274); 1 and unknown values leave the image as it is."""
    turn = _TURNS.get(orientation)
    return turn(image) if turn else image


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """8-bit sRGB with three bands, or four with alpha, from any colour space, profile and depth."""
    if image.interpretation in {"lab", "labs"}:
        # By lcms, to which CIELAB is of D50, as it is in files; libvips' own conversion takes it for D65.
        return image.colourspace("lab").icc_export(output_profile="srgb", intent="relative")
    image = _apply_profile(image)
    if image.interpretation != "srgb":
        # CMYK without a profile meets libvips' built-in one here; gray gets three bands, 16 bits become 8.
        image = image.colourspace("srgb")
    return image.cast("uchar")


def _apply_profile(image: pyvips.Image) -> pyvips.Image:
    if not image.get_typeof("icc-profile-data"):
        return image
    try:
        return image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True)
    except pyvips.Error:
        # A damaged profile, or one for other bands: browsers show such a picture as if it had none.
        return image


def flatten(image: pyvips.Image, background: list[int] = _WHITE) -> pyvips.Image:
    """Without alpha, over a colour, by default white."""
    return image.flatten(background=background) if image.hasalpha() else image


def on_premultiplied(image: pyvips.Image, change: Callable[[pyvips.Image], pyvips.Image]) -> pyvips.Image:
    """Apply what mixes neighbours, so that the hidden colours of transparent pixels do not show."""
    if not image.hasalpha():
        return change(image).cast("uchar")
    return change(image.premultiply()).unpremultiply().cast("uchar")


def sharpen(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """Unsharp mask on lightness; flat areas a little, edges more (m1, m2 as sharp has them)."""
    if not image.hasalpha():
        return image.sharpen(sigma=sigma, m1=1, m2=2).cast("uchar")
    colours = image.extract_band(0, n=3).sharpen(sigma=sigma, m1=1, m2=2).cast("uchar")
    return colours.bandjoin(image.extract_band(3))


def lay_over(image: pyvips.Image, upper: pyvips.Image, left: int, top: int) -> pyvips.Image:
    """Put a picture with alpha over another, which keeps its size and stays opaque if it was."""
    laid = image.composite2(upper, "over", x=left, y=top).cast("uchar")
    return (laid if image.hasalpha() else laid.extract_band(0, n=3)).copy_memory()
