"""The threat model names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "SECURITY.md").read_text()


def test_every_file_that_shows_a_mitigation_exists():
    named = set(re.findall(r"`((?:media_service|workers|tests)/[\w/]+\.py)`", DOCUMENT))
    assert len(named) > 40
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_threat_has_a_mitigation_and_a_test():
    rows = [line.split(" | ") for line in DOCUMENT.splitlines() if re.match(r"\| [STRIDE] \| E\d ", line)]
    assert {row[0][2] for row in rows} == set("STRIDE")
    assert [row for row in rows if len(row) != 5 or not re.search(r"tests/|contract", row[4])] == []


def test_every_link_leads_to_a_file():
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", DOCUMENT)
    assert [target for target in targets if not (ROOT / target).is_file()] == []
