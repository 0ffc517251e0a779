"""That the tables of hostile inputs are as broad as they should be."""

from collections import Counter

from tests.support import hostile_forms, hostile_http


def test_every_class_has_at_least_four_rows():
    for groups in ([row.group for row in hostile_forms.ROWS], [row.group for row in hostile_http.ROWS]):
        assert min(Counter(groups).values()) >= 4
    assert len(hostile_forms.FLOODS) >= 4
