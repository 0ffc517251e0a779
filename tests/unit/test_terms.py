"""Words by which files are found, in the scripts that people name their files in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.files.terms import (
    MAX_TERM_CHARACTERS,
    MAX_WORDS,
    SearchTerms,
    search_terms,
    tag_term,
    terms_of,
)


@pytest.mark.parametrize(
    ("filename", "words"),
    [
        ("IMG_1234.JPG", {"img", "1234", "jpg"}),
        ("Mein Urlaub - Straße (2).png", {"mein", "urlaub", "strasse", "2", "png"}),
        ("café.txt", {"cafe", "txt"}),
        ("cafe\u0301.txt", {"cafe", "txt"}),
        ("ﬁle №5", {"file", "no5"}),
        ("日本の写真.jpg", {"日本", "本の", "の写", "写真", "真", "jpg"}),
        ("写.jpg", {"写", "jpg"}),
        ("abc日本def", {"abc", "日本", "本", "def"}),
        ("ｶﾞｲﾄﾞ", {"ガイ", "イド", "ド"}),
        ("हिन्दी फ़ाइल", {"हिन्दी", "फ़ाइल"}),
        ("фото.jpeg", {"фото", "jpeg"}),
        ("한국어 사진", {"한국어", "사진"}),
        ("...---", set()),
        ("\U0001f600.gif", {"gif"}),
    ],
)
def test_words_of_a_name(filename: str, words: set[str]):
    assert terms_of(filename, []) == words


def test_tag_is_a_term_as_a_whole_and_by_its_words():
    assert terms_of("a", ["Summer Sea", "x/y"]) == {
        "a",
        "summer",
        "sea",
        "x",
        "y",
        "#Summer Sea",
        "#x/y",
    }


def test_tag_cannot_be_taken_for_a_word():
    assert tag_term("sea") not in terms_of("sea #sea", ["seaside"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("holi", SearchTerms((), "holi")),
        ("Beach holi", SearchTerms(("beach",), "holi")),
        ("写", SearchTerms((), "写")),
        ("写真", SearchTerms(("写真",), None)),
        ("日本の jp", SearchTerms(("日本", "本の"), "jp")),
        ("写 jpg", SearchTerms(("写",), "jpg")),
        ("x.y", SearchTerms(("x",), "y")),
        ("", None),
        ("!? %_", None),
    ],
)
def test_query_asks_for_all_words_and_the_beginning_of_the_last(query: str, found: SearchTerms | None):
    assert search_terms(query) == found


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=100), max_size=50))
def test_terms_are_bounded_whatever_the_name(filename: str, tags: list[str]):
    terms = terms_of(filename, tags)
    assert len(terms) <= MAX_WORDS + len(tags)
    assert max(map(len, terms), default=0) <= MAX_TERM_CHARACTERS


@given(st.text(max_size=60))
def test_file_is_found_by_its_whole_name(filename: str):
    wanted, terms = search_terms(filename), terms_of(filename, [])
    if wanted is None:
        assert terms == set()
    else:
        assert set(wanted.exact) <= terms
        assert wanted.prefix is None or any(term.startswith(wanted.prefix) for term in terms)
