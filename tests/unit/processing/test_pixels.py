"""The pixels are right: renditions are compared with what Pillow makes of the same file."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from media_service.transforms.spec import DEFAULT_PRESETS, Preset
from tests.support import images
from tests.unit.processing.conftest import Process
from workers.processing.results import MadeRendition

SCENE = images.scene(640, 480)


def opened(rendition: MadeRendition) -> Image.Image:
    with Image.open(rendition.path) as image:
        image.load()
        return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference over all bands, 0 to 255."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return float(np.asarray(ImageChops.difference(one, other)).mean())


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (images.jpeg(), "image/jpeg"),
        (images.jpeg(progressive=True), "image/jpeg"),
        (images.encode(SCENE, "PNG"), "image/png"),
        (images.webp(), "image/webp"),
        (images.heic(), "image/heic"),
        (images.heic(), "image/heif"),
    ],
)
def test_every_format_gives_the_pixels_of_the_scene(process: Process, data: bytes, content_type: str):
    rendition = process(data, content_type).renditions[0]
    assert (rendition.width_px, rendition.height_px) == (400, 300)
    assert difference(opened(rendition), SCENE.resize((400, 300), Image.Resampling.LANCZOS)) < 2.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_once(process: Process, orientation: int):
    result = process(images.jpeg(orientation=orientation))
    assert (result.metadata["width"], result.metadata["height"]) == (640, 480)
    assert result.metadata["exif"]["orientation"] == orientation
    assert difference(opened(result.renditions[0]), SCENE.resize((400, 300), Image.Resampling.LANCZOS)) < 2.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillows_exif_transpose(process: Process, orientation: int):
    data = images.encode(images.scene(300, 200), "PNG", exif=images.exif(orientation=orientation))
    with Image.open(io.BytesIO(data)) as stored:
        shown = ImageOps.exif_transpose(stored)
    assert difference(opened(process(data, "image/png").renditions[0]), shown) < 0.5


@pytest.mark.parametrize("orientation", [0, 9, 99, 65535])
def test_nonsense_orientation_leaves_the_pixels_as_they_are(process: Process, orientation: int):
    data = images.encode(SCENE, "JPEG", exif=images.exif(orientation=orientation))
    assert process(data).renditions[0].width_px == 400


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_by_its_decoder_and_not_again(process: Process, orientation: int):
    result = process(images.heic(orientation=orientation), "image/heic")
    assert (result.metadata["width"], result.metadata["height"]) == (640, 480)
    assert difference(opened(result.renditions[0]), SCENE.resize((400, 300), Image.Resampling.LANCZOS)) < 2.5


def test_presets_come_in_order_and_fit_their_boxes(process: Process):
    result = process(images.jpeg(4000, 3000), presets=DEFAULT_PRESETS)
    sizes = [(made.name, made.width_px, made.height_px) for made in result.renditions]
    assert sizes == [("thumb", 256, 192), ("small", 800, 600), ("large", 1600, 1200)]
    for made in result.renditions:
        assert opened(made).size == (made.width_px, made.height_px)
        assert opened(made).format == "WEBP"
        assert difference(opened(made), images.scene(made.width_px, made.height_px)) < 3


def test_boxes_of_many_shapes_each_get_their_own_size(process: Process):
    boxes = [(100, 400), (400, 100), (50, 50), (400, 400), (640, 1)]
    presets = [
        Preset(name=f"box{index}", width_px=w, height_px=h, format="png")
        for index, (w, h) in enumerate(boxes)
    ]
    sizes = [(made.width_px, made.height_px) for made in process(images.jpeg(), presets=presets).renditions]
    assert sizes == [(100, 75), (133, 100), (50, 38), (400, 300), (1, 1)]


@pytest.mark.parametrize("size", [(1, 1), (1, 250), (250, 1), (99, 101), (17, 13)])
def test_small_images_are_never_enlarged(process: Process, size: tuple[int, int]):
    result = process(images.encode(images.scene(*size), "PNG"), "image/png", DEFAULT_PRESETS)
    assert {(made.width_px, made.height_px) for made in result.renditions} == {size}


@pytest.mark.parametrize(
    "size", [(4032, 3024), (3024, 4032), (3201, 2399), (1601, 1201), (1599, 1199), (9999, 70)]
)
def test_dct_shrink_never_costs_a_pixel_of_the_largest_preset(process: Process, size: tuple[int, int]):
    made = process(images.jpeg(*size), presets=DEFAULT_PRESETS[2:]).renditions[0]
    scale = min(1, 1600 / max(size))
    assert (made.width_px, made.height_px) == tuple(max(1, round(side * scale)) for side in size)
    assert difference(opened(made), images.scene(made.width_px, made.height_px)) < 3


def test_no_presets_still_give_metadata_and_placeholder(process: Process):
    result = process(images.jpeg(), presets=())
    assert result.renditions == ()
    assert len(result.placeholder["thumbhash"]) > 20


@pytest.mark.parametrize("target", ["png", "webp"])
def test_alpha_is_kept(process: Process, target: str):
    preset = Preset(name="small", width_px=320, height_px=320, format=target, quality=90)
    result = process(images.png_alpha(), "image/png", (preset,))
    expected = Image.open(io.BytesIO(images.png_alpha())).convert("RGBa").resize((320, 240)).convert("RGBA")
    made = opened(result.renditions[0])
    assert result.metadata["has_alpha"] is True
    assert difference(made.getchannel("A"), expected.getchannel("A")) < 2
    white = Image.new("RGBA", (320, 240), "white")
    assert difference(Image.alpha_composite(white, made), Image.alpha_composite(white, expected)) < 2.5


def test_transparent_pixels_do_not_bleed_into_their_neighbours(process: Process):
    image = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 200, 400))
    preset = Preset(name="small", width_px=51, height_px=51, format="png")
    made = opened(process(images.encode(image, "PNG"), "image/png", (preset,)).renditions[0])
    visible = np.asarray(made)[np.asarray(made.getchannel("A")) > 8]
    assert visible[:, 0].max() < 30


def test_jpeg_shows_alpha_over_white(process: Process):
    preset = Preset(name="small", width_px=320, height_px=320, format="jpeg", quality=90)
    made = opened(process(images.png_alpha(), "image/png", (preset,)).renditions[0])
    transparent = Image.open(io.BytesIO(images.png_alpha())).resize((320, 240))
    expected = Image.alpha_composite(Image.new("RGBA", (320, 240), "white"), transparent).convert("RGB")
    assert difference(made, expected) < 3


def test_cmyk_jpeg_becomes_rgb_and_is_not_inverted(process: Process):
    result = process(images.encode(SCENE.convert("CMYK"), "JPEG", quality=95))
    made = opened(result.renditions[0])
    assert (made.mode, result.metadata["color_space"]) == ("RGB", "cmyk")
    red, blue = made.getpixel((3, 3)), made.getpixel((396, 296))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 30
    assert difference(made, SCENE.resize((400, 300))) < 50


def test_white_cmyk_is_white(process: Process):
    made = opened(process(images.encode(Image.new("CMYK", (50, 50), (0, 0, 0, 0)), "JPEG")).renditions[0])
    assert np.asarray(made).min() > 250


def test_16_bit_png_becomes_8_bit(process: Process):
    result = process(images.png_16_bit(), "image/png")
    made = opened(result.renditions[0])
    expected = Image.linear_gradient("L").rotate(90).resize((640, 480)).resize((400, 300)).convert("RGB")
    assert result.metadata["color_space"] == "gray"
    assert difference(made, expected) < 2


@pytest.mark.parametrize("box", [64, 20])
def test_16_bit_rgba_becomes_8_bit(process: Process, box: int):
    preset = Preset(name="small", width_px=box, height_px=box, format="png")
    made = opened(process(images.png_16_bit_rgba(), "image/png", (preset,)).renditions[0])
    assert difference(made, Image.new("RGBA", (box, box), (0x80, 0x40, 0xC0, 0x80))) <= 1


def test_16_bit_rgba_with_a_profile_is_converted_and_keeps_its_alpha(process: Process):
    profile = images.wide_gamut_profile()
    made = opened(process(images.png_16_bit_rgba(profile), "image/png").renditions[0])
    expected = images.to_srgb(Image.new("RGB", (64, 64), (0x80, 0x40, 0xC0)), profile)
    expected.putalpha(0x80)
    assert difference(made, expected) <= 1


def test_a_profile_for_other_bands_is_ignored(process: Process):
    data = images.encode(SCENE.convert("L"), "PNG", icc_profile=images.wide_gamut_profile())
    made = opened(process(data, "image/png").renditions[0])
    assert difference(made, SCENE.convert("L").resize((400, 300)).convert("RGB")) < 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA"])
def test_other_modes_of_png_look_as_pillow_shows_them(process: Process, mode: str):
    data = images.encode(images.scene(200, 150).convert(mode if mode != "PA" else "P"), "PNG")
    made = opened(process(data, "image/png").renditions[0])
    with Image.open(io.BytesIO(data)) as stored:
        expected = stored.convert(made.mode)
    assert difference(made, expected) < 1


def test_wide_gamut_colours_are_converted_to_srgb(process: Process):
    profile = images.wide_gamut_profile()
    muted = images.scene().point(lambda value: 64 + value // 2)
    data = images.encode(muted, "PNG", icc_profile=profile)
    expected = images.to_srgb(muted, profile).resize((400, 300), Image.Resampling.LANCZOS)
    made = opened(process(data, "image/png").renditions[0])
    assert difference(expected, muted.resize((400, 300))) > 4
    assert difference(made, expected) < 1.5


def test_a_damaged_profile_is_ignored(process: Process):
    data = images.encode(SCENE, "PNG", icc_profile=b"no profile at all" * 20)
    made = opened(process(data, "image/png").renditions[0])
    assert difference(made, SCENE.resize((400, 300), Image.Resampling.LANCZOS)) < 1


def test_animation_gives_its_first_frame_and_their_number(process: Process):
    result = process(images.gif(frames=7), "image/gif")
    made = opened(result.renditions[0]).convert("RGB")
    assert (result.metadata["frames"], made.size) == (7, (320, 240))
    assert difference(made, images.scene(320, 240)) < 8


def test_animated_webp_gives_its_first_frame_and_their_number(process: Process):
    others = [Image.new("RGB", (640, 480), (9, 60 * index, 9)) for index in range(4)]
    result = process(images.webp(save_all=True, append_images=others), "image/webp")
    assert result.metadata["frames"] == 5
    assert difference(opened(result.renditions[0]).convert("RGB"), SCENE.resize((400, 300))) < 4


def test_mpo_of_a_phone_is_a_jpeg(process: Process):
    data = images.encode(SCENE, "MPO", save_all=True, append_images=[images.scene(640, 480)])
    result = process(data)
    assert (result.metadata["format"], result.metadata["frames"]) == ("jpeg", 1)


@pytest.mark.parametrize("target", ["webp", "jpeg", "png"])
def test_no_metadata_of_the_original_survives(process: Process, target: str):
    preset = Preset(name="small", width_px=320, height_px=320, format=target)
    data = images.jpeg(orientation=6, icc_profile=images.wide_gamut_profile())
    made = process(data, presets=(preset,)).renditions[0]
    image, raw = opened(made), made.path.read_bytes()
    assert dict(image.getexif()) == {}
    assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(image.info)
    assert not [word for word in (b"secret", b"Acme", b"Exif", b"ICC", b"xmpmeta", b"acsp") if word in raw]


def test_rendition_facts_describe_the_file(process: Process):
    import hashlib

    preset = DEFAULT_PRESETS[0]
    made = process(images.jpeg(), presets=(preset,)).renditions[0]
    data = Path(made.path).read_bytes()
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    assert (made.size_bytes, made.content_type) == (len(data), "image/webp")
    assert (made.name, made.recipe) == (preset.name, preset.recipe)


def test_quality_decides_the_size(process: Process):
    presets = [Preset(name=f"q{q}", width_px=640, height_px=640, quality=q) for q in (30, 95)]
    low, high = process(images.jpeg(), presets=presets).renditions
    assert low.size_bytes < high.size_bytes


def test_placeholder_shows_the_average_colour(process: Process):
    result = process(images.encode(Image.new("RGB", (300, 200), (255, 128, 0)), "PNG"), "image/png")
    assert result.placeholder["color"] == "#ff8000"


def test_thumbhash_is_that_of_the_reference_implementation(process: Process):
    import base64

    import thash

    data = images.encode(images.scene(90, 60), "PNG")
    rgba = list(images.scene(90, 60).convert("RGBA").tobytes())
    expected = bytes(thash.rgba_to_thumb_hash(90, 60, rgba))
    assert base64.b64decode(process(data, "image/png").placeholder["thumbhash"]) == expected
