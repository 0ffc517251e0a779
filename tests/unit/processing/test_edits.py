"""Images on the fly are right: each option and format is compared with what Pillow makes of the same file."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.transforms.grammar import ImageBounds, parse_options
from media_service.transforms.image_spec import ImageSpec
from media_service.transforms.negotiation import in_shown_format
from media_service.transforms.spec import Preset
from tests.support import images
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.request import MARK_FILE
from workers.processing.results import MadeRendition
from workers.processing.sandbox import Sandbox

SCENE = images.scene(640, 480)
PNG = images.encode(SCENE, "PNG")
LANCZOS = Image.Resampling.LANCZOS

Edit = Callable[..., Image.Image]


def spec_of(options: str) -> ImageSpec:
    spec = parse_options(options, bounds=ImageBounds(), presets=())
    return in_shown_format(spec, None, preferred=(), may_have_alpha=True)


@pytest.fixture
def make(sandbox: Sandbox, tmp_path: Path) -> Callable[..., MadeRendition]:
    def run(
        options: str, data: bytes = PNG, content_type: str = "image/png", *, mark: Image.Image | None = None
    ) -> MadeRendition:
        number = len(list(tmp_path.iterdir()))
        source, output_dir = tmp_path / f"source-{number}", tmp_path / f"output-{number}"
        source.write_bytes(data)
        output_dir.mkdir()
        if mark is not None:
            mark.save(output_dir / MARK_FILE)
        return sandbox.edit_image(
            source, content_type=content_type, spec=spec_of(options), output_dir=output_dir
        )

    return run


@pytest.fixture
def edit(make: Callable[..., MadeRendition]) -> Edit:
    """The picture that options make; without a format it is a PNG, which loses nothing."""

    def run(options: str, *arguments: object, **named: object) -> Image.Image:
        made = make(options, *arguments, **named)
        with Image.open(made.path) as image:
            image.load()
            assert image.size == (made.width_px, made.height_px)
            return image

    return run


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference over all bands, 0 to 255."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


def cropped(image: Image.Image, size: tuple[int, int], center: tuple[float, float]) -> Image.Image:
    return ImageOps.fit(image, size, LANCZOS, centering=center)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("w_320", SCENE.resize((320, 240), LANCZOS)),
        ("h_120", SCENE.resize((160, 120), LANCZOS)),
        ("w_320,h_120", SCENE.resize((160, 120), LANCZOS)),
        ("w_2000", SCENE),
        ("w_160,dpr_2", SCENE.resize((320, 240), LANCZOS)),
        ("w_300,h_100,fit_fill", SCENE.resize((300, 100), LANCZOS)),
        ("w_300,h_100,fit_cover", cropped(SCENE, (300, 100), (0.5, 0.5))),
        ("w_100,h_300,fit_cover", cropped(SCENE, (100, 300), (0.5, 0.5))),
        ("w_300,h_100,fit_cover,gravity_north", cropped(SCENE, (300, 100), (0.5, 0))),
        ("w_300,h_100,fit_cover,gravity_south", cropped(SCENE, (300, 100), (0.5, 1))),
        ("w_100,h_300,fit_cover,gravity_west", cropped(SCENE, (100, 300), (0, 0.5))),
        ("w_100,h_300,fit_cover,gravity_southeast", cropped(SCENE, (100, 300), (1, 1))),
        ("w_100,h_300,fit_cover,gravity_0:0", cropped(SCENE, (100, 300), (0, 0))),
        ("w_100,h_300,fit_cover,gravity_1:0.3", cropped(SCENE, (100, 300), (1, 0))),
        ("w_1280,h_960,fit_cover", SCENE.resize((1280, 960), Image.Resampling.BICUBIC)),
        ("rotate_90", SCENE.transpose(Image.Transpose.ROTATE_270)),
        ("rotate_180", SCENE.transpose(Image.Transpose.ROTATE_180)),
        ("rotate_270", SCENE.transpose(Image.Transpose.ROTATE_90)),
        ("flip_h", ImageOps.mirror(SCENE)),
        ("flip_v", ImageOps.flip(SCENE)),
        ("flip_hv", SCENE.transpose(Image.Transpose.ROTATE_180)),
        ("rotate_90,w_120", SCENE.transpose(Image.Transpose.ROTATE_270).resize((120, 160), LANCZOS)),
        ("blur_8", SCENE.filter(ImageFilter.GaussianBlur(8))),
        ("w_200,h_200,fit_contain,bg_ff0000", ImageOps.pad(SCENE, (200, 200), LANCZOS, color="#f00")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_option_gives_the_pixels_that_pillow_gives(edit: Edit, options: str, expected: Image.Image):
    assert difference(edit(f"{options},f_png"), expected) < 1.5


def test_padding_is_transparent_where_it_can_be_and_white_where_it_cannot(edit: Edit):
    padded = edit("w_200,h_200,fit_contain,f_png")
    assert (padded.mode, padded.getpixel((100, 5))) == ("RGBA", (0, 0, 0, 0))
    assert edit("w_200,h_200,fit_contain,f_jpeg").getpixel((100, 5)) == (255, 255, 255)


def contrast(image: Image.Image) -> float:
    return float(np.abs(np.diff(np.asarray(image.convert("L"), np.int16), axis=1)).max())


def test_sharpened_edge_has_more_contrast_and_flat_areas_stay(edit: Edit):
    edge = Image.new("RGB", (100, 60), (90, 90, 90))
    edge.paste((160, 160, 160), (50, 0, 100, 60))
    soft = images.encode(edge.filter(ImageFilter.GaussianBlur(2)), "PNG")
    plain, sharpened = edit("f_png", soft), edit("sharpen_2,f_png", soft)
    assert contrast(sharpened) > 1.2 * contrast(plain)
    assert abs(sharpened.getpixel((5, 30))[0] - 90) <= 2  # type: ignore[index]  # three bands


def test_smart_crop_keeps_what_draws_the_eye(edit: Edit):
    dull = Image.new("RGB", (600, 200), (120, 120, 120))
    dull.paste(images.scene(120, 160).rotate(30), (450, 20))
    crop = edit("w_200,h_200,fit_cover,gravity_smart,f_png", images.encode(dull, "PNG"))
    assert difference(crop, Image.new("RGB", (200, 200), (120, 120, 120))) > 15


@pytest.mark.parametrize(
    ("options", "form", "mode", "limit"),
    [
        ("w_320,f_jpeg", "JPEG", "RGB", 3),
        ("w_320,f_webp", "WEBP", "RGB", 4),
        ("w_320,f_avif", "AVIF", "RGB", 4),
        ("w_320,f_png", "PNG", "RGB", 1),
        ("w_320,f_auto", "PNG", "RGB", 1),
    ],
)
def test_every_format_shows_the_scene(
    make: Callable[..., MadeRendition], options: str, form: str, mode: str, limit: float
):
    made = make(options)
    with Image.open(made.path) as image:
        assert (image.format, image.mode) == (form, mode)
        assert made.content_type == f"image/{form.lower()}"
        assert difference(image.convert("RGB"), SCENE.resize((320, 240), LANCZOS)) < limit


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif"])
def test_lower_quality_has_fewer_bytes(make: Callable[..., MadeRendition], form: str):
    noisy = images.encode(Image.effect_noise((300, 300), 80).convert("RGB"), "PNG")
    sizes = [make(f"q_{quality},f_{form}", noisy).size_bytes for quality in (10, 50, 90)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2


@pytest.mark.parametrize("form", ["webp", "avif", "png"])
@pytest.mark.parametrize("option", ["", "blur_2,", "sharpen_1,", "w_100,"])
def test_alpha_is_kept(edit: Edit, form: str, option: str):
    picture = edit(f"{option}f_{form}", images.png_alpha())
    assert picture.mode == "RGBA"
    row = [picture.getpixel((x, picture.height // 2))[3] for x in (2, picture.width - 3)]  # type: ignore[index]
    assert row[0] < 15
    assert row[1] > 240


@pytest.mark.parametrize(("options", "left"), [("f_jpeg", (255, 255, 255)), ("bg_0000ff,f_png", (0, 0, 255))])
def test_alpha_is_laid_over_white_or_the_colour_asked_for(
    edit: Edit, options: str, left: tuple[int, int, int]
):
    picture = edit(options, images.png_alpha())
    assert picture.mode == "RGB"
    found = picture.getpixel((0, 240))
    assert max(abs(one - other) for one, other in zip(found, left, strict=True)) <= 6  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_comes_before_everything_else(edit: Edit, orientation: int):
    data = images.jpeg(orientation=orientation)
    picture = edit("rotate_90,w_120,h_300,fit_cover,gravity_north,f_png", data, "image/jpeg")
    turned = SCENE.transpose(Image.Transpose.ROTATE_270)
    assert difference(picture, cropped(turned, (120, 300), (0.5, 0))) < 3


def test_cmyk_comes_out_as_rgb(edit: Edit):
    data = images.encode(SCENE.convert("CMYK"), "JPEG", quality=95)
    picture = edit("w_320,f_jpeg", data, "image/jpeg")
    assert picture.mode == "RGB"
    assert (
        difference(picture, SCENE.resize((320, 240), LANCZOS)) < 40
    )  # libvips' profile is not Pillow's formula


def test_gray_of_16_bits_comes_out_in_8(edit: Edit):
    picture = edit("w_320,f_png", images.png_16_bit())
    assert picture.mode == "RGB"
    assert picture.getpixel((310, 100))[0] > 230  # type: ignore[index]  # three bands
    assert picture.getpixel((8, 100))[0] < 30  # type: ignore[index]


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif", "png"])
def test_nothing_of_the_metadata_is_left(make: Callable[..., MadeRendition], form: str):
    made = make(f"w_300,f_{form}", images.jpeg(orientation=6), "image/jpeg")
    data = made.path.read_bytes()
    assert b"secret" not in data
    assert b"Acme" not in data
    with Image.open(io.BytesIO(data)) as image:
        assert len(image.getexif()) == 0


def animation(form: str, count: int = 6) -> bytes:
    frames = [images.scene(160, 120).rotate(60 * number) for number in range(count)]
    return images.encode(
        frames[0], form, save_all=True, append_images=frames[1:], duration=70, loop=3, lossless=True
    )


@pytest.mark.parametrize(
    ("form", "content_type"), [("GIF", "image/gif"), ("WEBP", "image/webp"), ("PNG", "image/apng")]
)
@pytest.mark.parametrize("target", ["webp", "gif"])
def test_animation_stays_one_with_at_most_the_frames_asked_for(
    make: Callable[..., MadeRendition], form: str, content_type: str, target: str
):
    for wanted, kept in ((4, 4), (50, 6)):
        made = make(f"w_80,frames_{wanted},f_{target}", animation(form), content_type)
        with Image.open(made.path) as image:
            assert (image.size, image.n_frames) == ((80, 60), kept)  # type: ignore[attr-defined]  # animated
            image.seek(1)
            shown = image.convert("RGB")
            assert image.info["duration"] == 70
    expected = images.scene(160, 120).rotate(60).resize((80, 60), LANCZOS)
    assert difference(shown, expected) < 14  # GIF has 256 colours
    still = make(f"w_80,f_{'webp' if target == 'webp' else 'png'}", animation(form), content_type)
    with Image.open(still.path) as image:
        assert getattr(image, "n_frames", 1) == 1


def test_frames_that_do_not_fit_into_memory_are_left_out(tmp_path: Path):
    source, output_dir = tmp_path / "source", tmp_path / "output"
    source.write_bytes(animation("GIF"))
    output_dir.mkdir()
    small = ImageLimits(max_pixels=3 * 160 * 120)
    with Sandbox(limits=SandboxLimits(), image_limits=small) as sandbox:
        made = sandbox.edit_image(
            source, content_type="image/gif", spec=spec_of("frames_50,f_webp"), output_dir=output_dir
        )
    with Image.open(made.path) as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]  # animated


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (animation("GIF"), "image/gif"),
        (animation("WEBP"), "image/webp"),
        (animation("PNG"), "image/apng"),
        (
            images.encode(
                images.scene(160, 120),
                "TIFF",
                save_all=True,
                append_images=[images.scene(160, 120).rotate(60), images.scene(160, 120).rotate(120)],
            ),
            "image/tiff",
        ),
    ],
    ids=["gif", "webp", "apng", "tiff"],
)
def test_page_gives_that_picture_alone(edit: Edit, data: bytes, content_type: str):
    third = edit("page_3,bg_000,f_png", data, content_type)
    assert difference(third.convert("RGB"), images.scene(160, 120).rotate(120)) < 12


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(PNG, "image/png"), (images.heic(), "image/heic"), (animation("GIF"), "image/gif")],
)
def test_page_that_is_not_there_is_named(make: Callable[..., MadeRendition], data: bytes, content_type: str):
    with pytest.raises(MediaServiceError) as caught:
        make("page_9", data, content_type)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNPROCESSABLE, "no-such-page")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (images.truncated_jpeg(), "unreadable-media"),
        (images.damaged_jpeg(), "unreadable-media"),
        (b"no image", "unreadable-media"),
    ],
)
def test_damaged_picture_is_a_named_failure_and_never_half_a_picture(
    make: Callable[..., MadeRendition], data: bytes, code: str
):
    with pytest.raises(MediaServiceError) as caught:
        make("w_100", data, "image/jpeg")
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNPROCESSABLE, code)


def test_strip_that_would_cover_a_box_at_gigapixels_is_refused(make: Callable[..., MadeRendition]):
    strip = images.encode(Image.new("RGB", (8000, 2)), "PNG")
    with pytest.raises(MediaServiceError) as caught:
        make("w_100,h_4000,fit_cover", strip)
    assert caught.value.code in {"image-too-many-pixels", "image-too-large-side"}


MARK = Image.new("RGBA", (50, 20), (255, 0, 0, 255))


@pytest.mark.parametrize(
    ("option", "box"),
    [
        ("", (188, 204, 236, 236)),
        (",wmgravity_northwest", (4, 4, 68, 29)),
        (",wmgravity_center,wmscale_0.5", (80, 88, 240, 152)),
    ],
)
def test_watermark_lies_where_it_shall(edit: Edit, option: str, box: tuple[int, int, int, int]):
    picture = edit(f"w_320,wm_{'0' * 8}-0000-0000-0000-{'0' * 12}{option},f_png", mark=MARK)
    assert picture.mode == "RGB"
    plain = SCENE.resize((320, 240), LANCZOS)
    changed = np.abs(np.asarray(picture, np.int16) - np.asarray(plain, np.int16)).max(axis=2) > 8
    rows, columns = np.where(changed)
    width = round(320 * (0.5 if "0.5" in option else 0.2))
    assert abs((columns.max() - columns.min() + 1) - width) <= 2
    assert abs((rows.max() - rows.min() + 1) - width * 20 / 50) <= 2
    if option:
        assert abs(columns.min() - box[0]) <= 2
        assert abs(rows.min() - box[1]) <= 2
    else:
        assert (columns.max(), rows.max()) == (320 - 5 - 1, 240 - 5 - 1)


def test_watermark_of_half_opacity_lets_the_picture_through(edit: Edit):
    white = images.encode(Image.new("RGB", (100, 100), "white"), "PNG")
    wm = f"wm_{'0' * 8}-0000-0000-0000-{'0' * 12}"
    picture = edit(f"{wm},wmopacity_0.5,wmgravity_center,f_png", white, mark=MARK)
    red, green, blue = picture.getpixel((50, 50))  # type: ignore[misc]  # three bands
    assert red == 255
    assert 120 <= green == blue <= 135


def test_preset_that_fills_its_box_is_cut_out_of_the_same_cascade(sandbox: Sandbox, tmp_path: Path):
    source, output_dir = tmp_path / "source", tmp_path / "output"
    source.write_bytes(PNG)
    output_dir.mkdir()
    presets = (
        Preset(name="square", width_px=100, height_px=100, fit="cover", format="png"),
        Preset(name="wide", width_px=400, height_px=100, fit="cover", format="png"),
        Preset(name="whole", width_px=320, height_px=320, format="png"),
        Preset(name="new", width_px=64, height_px=64, format="avif"),
    )
    made = sandbox.process_image(source, content_type="image/png", presets=presets, output_dir=output_dir)
    square, wide, whole = (Image.open(rendition.path) for rendition in made.renditions[:3])
    assert difference(square, cropped(SCENE, (100, 100), (0.5, 0.5))) < 1.5
    assert difference(wide, cropped(SCENE, (400, 100), (0.5, 0.5))) < 1.5
    assert difference(whole, SCENE.resize((320, 240), LANCZOS)) < 1.5
    assert (made.renditions[3].content_type, made.renditions[3].width_px) == ("image/avif", 64)


def test_strip_that_cannot_fill_a_box_of_a_preset_only_fits_it(sandbox: Sandbox, tmp_path: Path):
    source, output_dir = tmp_path / "source", tmp_path / "output"
    source.write_bytes(images.encode(Image.new("RGB", (8000, 2)), "PNG"))
    output_dir.mkdir()
    presets = (Preset(name="square", width_px=1000, height_px=1000, fit="cover"),)
    made = sandbox.process_image(source, content_type="image/png", presets=presets, output_dir=output_dir)
    assert (made.renditions[0].width_px, made.renditions[0].height_px) == (1000, 1)
