"""The options of images on the fly: a table of what is taken, and one of what is not."""

import string
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.exceptions import ErrorKind
from media_service.transforms.grammar import (
    MAX_CHARACTERS,
    ImageBounds,
    OptionError,
    parse_options,
)
from media_service.transforms.image_spec import ImageSpec
from media_service.transforms.negotiation import in_shown_format, shown_formats
from media_service.transforms.spec import DEFAULT_PRESETS

BOUNDS = ImageBounds(max_side_px=4096, max_pixels=16_000_000, max_frames=100)
MARK = "019abc12-3456-7def-8123-456789abcdef"


def parse(text: str) -> ImageSpec:
    return parse_options(text, bounds=BOUNDS, presets=DEFAULT_PRESETS)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("w_400", "w_400"),
        ("h_300,w_400", "w_400,h_300"),
        ("f_webp,q_80,fit_cover,h_300,w_400", "w_400,h_300,fit_cover,q_80,f_webp"),
        ("w_1", "w_1"),
        ("w_4096", "w_4096"),
        ("w_400,fit_inside", "w_400"),
        ("w_400,f_auto", "w_400"),
        ("f_auto", "f_auto"),
        ("strip_all", "f_auto"),
        ("rotate_0", "f_auto"),
        ("page_1", "f_auto"),
        ("frames_1", "f_auto"),
        ("w_200,dpr_2", "w_400"),
        ("w_200,h_100,dpr_1.5", "w_300,h_150"),
        ("w_200,dpr_1", "w_200"),
        ("q_80", "q_80"),
        ("q_82", "q_80"),
        ("q_83", "q_85"),
        ("q_1", "q_5"),
        ("q_100", "q_100"),
        ("blur_0.3", "blur_0.3"),
        ("blur_2.50", "blur_2.5"),
        ("sharpen_1.00", "sharpen_1"),
        ("flip_hv,rotate_270", "rotate_270,flip_hv"),
        ("bg_F80", "bg_ff8800"),
        ("bg_FF8800", "bg_ff8800"),
        ("w_9,h_9,fit_cover,gravity_center", "w_9,h_9,fit_cover"),
        ("w_9,h_9,fit_cover,gravity_smart", "w_9,h_9,fit_cover,gravity_smart"),
        ("w_9,h_9,fit_cover,gravity_0.50:1", "w_9,h_9,fit_cover,gravity_0.5:1"),
        ("w_9,h_9,fit_contain", "w_9,h_9,fit_contain"),
        ("w_9,h_9,fit_fill", "w_9,h_9,fit_fill"),
        ("page_7", "page_7"),
        ("frames_20,f_gif", "frames_20,f_gif"),
        (f"wm_{MARK}", f"wm_{MARK}"),
        (f"wmscale_0.20,wm_{MARK}", f"wm_{MARK}"),
        (f"wmopacity_0.5,wmgravity_center,wm_{MARK}", f"wm_{MARK},wmgravity_center,wmopacity_0.5"),
        ("p_thumb", "p_thumb"),
    ],
)
def test_options_have_one_canonical_form(text: str, canonical: str):
    spec = parse(text)
    assert spec.canonical == canonical
    assert parse(canonical) == spec


@pytest.mark.parametrize(
    ("text", "position", "option"),
    [
        ("", 0, ""),
        (",", 0, ""),
        ("w_400,", 6, ""),
        ("w_400,,h_300", 6, ""),
        ("w_400, h_300", 6, ""),
        ("W_400", 0, ""),
        ("width_400", 0, ""),
        ("w", 0, "w"),
        ("w_", 0, "w"),
        ("w-400", 0, ""),
        ("w_0", 0, "w"),
        ("w_-1", 0, "w"),
        ("w_+1", 0, "w"),
        ("w_01", 0, "w"),
        ("w_1e3", 0, "w"),
        ("w_1.5", 0, "w"),
        ("w_4097", 0, "w"),
        ("w_99999999999999999999", 0, "w"),
        ("w_NaN", 0, "w"),
        ("w_inf", 0, "w"),
        ("w_٤٠٠", 0, "w"),
        ("w_\uff14\uff10\uff10", 0, "w"),
        ("w_400\x00", 0, "w"),
        ("w_400\n", 0, "w"),
        ("w_400%", 0, "w"),
        ("w_1_000", 0, "w"),
        ("w_400,w_400", 6, "w"),
        ("h_1,w_400,w_300", 10, "w"),
        ("w_4096,h_4096", 7, "h"),
        ("w_2049,dpr_2", 0, "w"),
        ("dpr_2", 0, "dpr"),
        ("w_1,dpr_0.5", 4, "dpr"),
        ("w_1,dpr_4.01", 4, "dpr"),
        ("w_1,dpr_nan", 4, "dpr"),
        ("w_1,dpr_1.125", 4, "dpr"),
        ("fit_cover", 0, "fit"),
        ("w_400,fit_cover", 6, "fit"),
        ("w_400,h_1,fit_Cover", 10, "fit"),
        ("w_400,h_1,fit_crop", 10, "fit"),
        ("gravity_north", 0, "gravity"),
        ("w_9,h_9,gravity_north", 8, "gravity"),
        ("w_9,h_9,fit_cover,gravity_1.1:0", 18, "gravity"),
        ("w_9,h_9,fit_cover,gravity_0.5", 18, "gravity"),
        ("w_9,h_9,fit_cover,gravity_NaN:0", 18, "gravity"),
        ("w_9,h_9,fit_cover,gravity_0:0:0", 18, "gravity"),
        ("q_0", 0, "q"),
        ("q_101", 0, "q"),
        ("f_bmp", 0, "f"),
        ("f_svg", 0, "f"),
        ("f_gif", 0, "f"),
        ("frames_2,f_jpeg", 9, "f"),
        ("frames_2,page_2", 9, "page"),
        ("frames_101", 0, "frames"),
        ("blur_0", 0, "blur"),
        ("blur_101", 0, "blur"),
        ("blur_.5", 0, "blur"),
        ("blur_1e9", 0, "blur"),
        ("sharpen_11", 0, "sharpen"),
        ("rotate_45", 0, "rotate"),
        ("flip_x", 0, "flip"),
        ("bg_ff88", 0, "bg"),
        ("bg_gggggg", 0, "bg"),
        ("bg_#ffffff", 0, "bg"),
        ("page_0", 0, "page"),
        ("t_3", 0, "t"),
        ("strip_none", 0, "strip"),
        ("wm_x", 0, "wm"),
        (f"wm_{MARK.upper()}", 0, "wm"),
        ("wmscale_0.5", 0, "wmscale"),
        (f"wm_{MARK},wmgravity_smart", 40, "wmgravity"),
        ("p_nope", 0, "p"),
        ("p_", 0, "p"),
        ("p_thumb,w_400", 8, "w"),
        ("w_400,p_thumb", 0, "w"),
        ("../../etc/passwd", 0, ""),
        ("w_400;h_300", 0, "w"),
        ("w_" + "9" * MAX_CHARACTERS, MAX_CHARACTERS, ""),
    ],
)
def test_everything_else_is_refused_where_it_stands(text: str, position: int, option: str):
    with pytest.raises(OptionError) as caught:
        parse(text)
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.code == "bad-image-option"
    assert (caught.value.members["position"], caught.value.members["option"]) == (position, option)
    assert caught.value.members["allowed"]


def test_refusal_names_the_allowed_range():
    with pytest.raises(OptionError, match=r"'h' at position 6 takes a whole number from 1 to 4096"):
        parse("w_400,h_0")


def test_refusal_of_the_time_of_a_video_says_that_images_have_none():
    with pytest.raises(OptionError, match="images have none"):
        parse("t_3")


@given(st.permutations(["w_400", "h_300", "fit_cover", "q_80", "f_webp", "blur_2", "gravity_north"]))
def test_order_never_matters(parts: list[str]):
    spec = parse(",".join(parts))
    assert spec.canonical == "w_400,h_300,fit_cover,gravity_north,blur_2,q_80,f_webp"


@given(st.text(alphabet=string.printable + "٤４é\x00", max_size=60))
def test_any_text_is_a_spec_or_an_option_error(text: str):
    try:
        spec = parse(text)
    except OptionError:
        return
    assert parse(spec.canonical) == spec


def test_digest_tells_results_apart_and_nothing_else():
    assert parse("w_200,dpr_2").digest == parse("w_400").digest
    texts = ["w_400", "h_400", "w_401", "w_400,q_80", "w_400,f_webp", "w_400,blur_1", "w_400,rotate_90"]
    assert len({parse(text).digest for text in texts}) == len(texts)
    thumb = parse("p_thumb")
    assert thumb.digest == parse(thumb.options).digest


def test_every_option_at_its_longest_fits_its_column():
    longest = (
        f"w_4096,h_3900,fit_contain,rotate_270,flip_hv,blur_99.99,sharpen_9.99,bg_ffffff,page_65535,"
        f"wm_{MARK},wmgravity_southwest,wmscale_0.99,wmopacity_0.99,q_100,f_webp"
    )
    assert len(parse(longest).options) <= MAX_CHARACTERS < 255
    assert parse(longest).watermark is not None
    assert UUID(MARK) == parse(longest).watermark.file_id  # type: ignore[union-attr]  # looked at above


@pytest.mark.parametrize(
    ("accept", "shown"),
    [
        (None, set()),
        ("*/*", set()),
        ("image/*", set()),
        ("image/avif,image/webp,*/*;q=0.8", {"avif", "webp"}),
        ("IMAGE/WebP", {"webp"}),
        ("image/avif;q=0, image/webp;q=0.5", {"webp"}),
        ("image/webpx", set()),
    ],
)
def test_formats_are_shown_where_they_are_named(accept: str | None, shown: set[str]):
    assert shown_formats(accept) == shown


@pytest.mark.parametrize(
    ("options", "accept", "has_alpha", "expected"),
    [
        ("w_9", "image/avif,image/webp", False, "avif"),
        ("w_9", "image/webp", False, "webp"),
        ("w_9", "*/*", False, "jpeg"),
        ("w_9", None, True, "png"),
        ("w_9,bg_fff", None, True, "jpeg"),
        ("w_9,f_webp", None, True, "webp"),
        ("frames_5", "image/avif,image/webp", True, "webp"),
        ("frames_5", "image/avif", True, "gif"),
    ],
)
def test_auto_becomes_what_the_client_shows(options: str, accept: str | None, has_alpha: Any, expected: str):
    spec = in_shown_format(parse(options), accept, preferred=("avif", "webp"), may_have_alpha=has_alpha)
    assert spec.format == expected


def test_quality_left_out_is_the_usual_one_of_the_format():
    for text, quality in (
        ("f_jpeg", 80),
        ("f_webp", 80),
        ("f_avif", 60),
        ("f_png", None),
        ("f_avif,q_80", 80),
    ):
        spec = in_shown_format(parse(text), None, preferred=(), may_have_alpha=False)
        assert spec.quality == quality
    png = [
        in_shown_format(parse(text), None, preferred=(), may_have_alpha=False).digest
        for text in ("f_png", "f_png,q_50")
    ]
    assert png[0] == png[1]
