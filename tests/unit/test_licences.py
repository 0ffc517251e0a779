"""What the images contain may be passed on with them."""

import pytest

from tests.support.licences import is_copyleft_without_exception, parts


def test_no_part_of_an_image_is_under_the_gpl():
    assert [part for part in parts() if is_copyleft_without_exception(part.licence)] == []


def test_every_part_says_its_licence():
    assert [part.name for part in parts() if part.licence == "not said"] == []


@pytest.mark.parametrize(
    ("licence", "is_copyleft"),
    [
        ("GPL-3.0-only", True),
        ("AGPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("LGPL-3.0-only", False),
        ("GNU Lesser General Public License v3 or later (LGPLv3+)", False),
        ("MIT", False),
    ],
)
def test_lesser_licence_is_told_from_the_other(licence: str, is_copyleft: bool):  # noqa: FBT001 - of a table
    assert is_copyleft_without_exception(licence) is is_copyleft
