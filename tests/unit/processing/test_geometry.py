"""Sizes and scales, by table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.processing.geometry import Size, fit_inside, jpeg_shrink, upright

SIDES = st.integers(1, 65_535)
SIZES = st.builds(Size, SIDES, SIDES)


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((4000, 3000), (1600, 1600), (1600, 1200)),
        ((3000, 4000), (1600, 1600), (1200, 1600)),
        ((100, 50), (1600, 1600), (100, 50)),
        ((20_000, 1), (256, 256), (256, 1)),
        ((640, 480), (640, 100), (133, 100)),
    ],
)
def test_fit_inside_keeps_the_aspect_and_never_enlarges(size: Size, box: Size, expected: object):
    assert fit_inside(Size(*size), Size(*box)) == expected


@given(SIZES, SIZES)
def test_fitted_size_is_within_box_and_source(size: Size, box: Size):
    fitted = fit_inside(size, box)
    assert 1 <= fitted.width <= min(size.width, box.width)
    assert 1 <= fitted.height <= min(size.height, box.height)


@given(SIZES, SIZES, SIZES)
def test_fitted_sizes_nest_so_that_a_cascade_only_shrinks(size: Size, box: Size, other: Size):
    smaller, larger = sorted([fit_inside(size, box), fit_inside(size, other)])
    assert smaller.width <= larger.width
    assert smaller.height <= larger.height


@pytest.mark.parametrize(
    ("size", "needed", "shrink"),
    [
        ((4000, 3000), (1600, 1200), 2),
        ((4000, 3000), (256, 192), 8),
        ((4000, 3000), (2000, 1500), 2),
        ((4000, 3000), (2001, 1501), 1),
        ((3199, 2399), (1600, 1200), 1),
        ((4, 4), (4, 4), 1),
    ],
)
def test_jpeg_shrink_keeps_what_is_needed(size: Size, needed: Size, shrink: int):
    assert jpeg_shrink(Size(*size), Size(*needed)) == shrink


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_its_own_inverse(orientation: int):
    size = Size(3, 2)
    assert upright(upright(size, orientation), orientation) == size
    assert upright(size, orientation) == (size if orientation < 5 else (2, 3))
