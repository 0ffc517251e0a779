"""The words by which a file is found, from its name and tags. Core room: computes, asks nothing.

An index of terms of our own, and not each database's full-text search: it is one statement on PostgreSQL and
SQLite alike, it finds words of scripts that are written without spaces, and its pages come in the order of
the files, so that a common word costs no more than a rare one.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_WORDS = 64
"""Of one file; each is a row. Names and tags of real files have five to ten."""
MAX_WORD_CHARACTERS = 64
MAX_QUERY_WORDS = 8
"""Each is one more table to join; nobody types more."""
MAX_TERM_CHARACTERS = 101
"""The longest tag and its mark."""

TAG_MARK = "#"
"""Before a tag that is meant as a whole; words hold letters, digits and marks only."""

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
"""Kana and Han, which are written without spaces."""


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """What every file found must have: these terms, and one that begins with the prefix if there is one."""

    exact: tuple[str, ...]
    prefix: str | None


def terms_of(filename: str, tags: Sequence[str]) -> set[str]:
    """All terms of a file: the words of its name and its tags, and each tag as a whole."""
    found = dict.fromkeys(_terms(" ".join((filename, *tags))))
    return {*list(found)[:MAX_WORDS], *map(tag_term, tags)}


def tag_term(tag: str) -> str:
    return TAG_MARK + tag


def search_terms(query: str) -> SearchTerms | None:
    """What `query` asks for: all of its words, the last one perhaps still being typed. None: no words."""
    words = list(_words(query))[:MAX_QUERY_WORDS]
    if not words:
        return None
    *whole, last = words
    exact = [term for word in whole for term in (_pairs(word) if _UNSPACED.match(word) else (word,))]
    if _UNSPACED.match(last) and len(last) > 1:
        return SearchTerms((*exact, *_pairs(last)), prefix=None)
    return SearchTerms(tuple(exact), prefix=last)


def _terms(text: str) -> Iterator[str]:
    for word in _words(text):
        if _UNSPACED.match(word):
            # The last character by itself: a search for one character is a search for a beginning.
            yield from (*_pairs(word), word[-1])
        else:
            yield word


def _words(text: str) -> Iterator[str]:
    """Letters and digits that stand together, without case and accents; unspaced scripts apart."""
    folded = "".join(map(_without_accent, unicodedata.normalize("NFKC", text).casefold()))
    spaced = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in folded)
    for run in _UNSPACED.sub(lambda found: f" {found.group()} ", spaced).split():
        yield run[:MAX_WORD_CHARACTERS]


def _without_accent(character: str) -> str:
    """Only where a Latin letter remains: elsewhere a mark makes another letter."""
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base.isascii() and base.isalnum() else character


def _pairs(run: str) -> tuple[str, ...]:
    """Neighbouring characters: the usual stand-in for words where nothing separates them."""
    return tuple(run[i : i + 2] for i in range(len(run) - 1)) or (run,)
