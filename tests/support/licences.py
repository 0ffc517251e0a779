"""`make licences`: under which licences the parts of both images stand, by lock files and metadata."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from tests.support.service import PROJECT_ROOT

IMAGES = ("api", "worker")
ELSEWHERE = "(not on Linux, or not on this Python)"

# Where metadata says less than the texts in the package.
CORRECTIONS = {
    "pi-heif": "BSD-3-Clause, with libheif and libde265: LGPL-3.0-or-later",
    "pyvips-binary": "MIT, with libvips and what it links: LGPL-3.0-or-later and others",
}

BEGIN, END = "<!-- made by `make licences`: begin -->", "<!-- end -->"
"""What stands between them in the document is made; the rest is written by hand."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    version: str
    licence: str
    images: tuple[str, ...]


def parts() -> list[Part]:
    """Everything that the lock files of the images name, in the order of names."""
    locked = {image: _locked(image) for image in IMAGES}
    names = sorted({name for found in locked.values() for name in found})
    return [
        Part(
            name=name,
            version=next(found[name] for found in locked.values() if name in found),
            licence=_licence(name),
            images=tuple(image for image in IMAGES if name in locked[image]),
        )
        for name in names
    ]


def is_copyleft_without_exception(licence: str) -> bool:
    """GPL or AGPL; the lesser one is another."""
    return re.search(r"(?<!L)(?<!Lesser )\bA?GPL|(?<!Lesser )General Public", licence) is not None


def table() -> str:
    rows = [
        f"| {part.name} | {part.version} | {part.licence} | {', '.join(part.images)} |" for part in parts()
    ]
    return "\n".join(["| distribution | version | licence | image |", "|---|---|---|---|", *rows])


def _locked(image: str) -> dict[str, str]:
    text = (PROJECT_ROOT / "requirements" / f"{image}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))


def _licence(name: str) -> str:
    if name in CORRECTIONS:
        return CORRECTIONS[name]
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return ELSEWHERE
    return next(_said(found), "not said")


def _said(found: Distribution) -> Iterator[str]:
    """What the metadata says, the most exact first (PEP 639, classifiers, free text)."""
    yield from found.metadata.get_all("License-Expression") or []
    approved = "License :: OSI Approved :: "
    classifiers = found.metadata.get_all("Classifier") or []
    names = [line.removeprefix(approved) for line in classifiers if line.startswith(approved)]
    if names:
        yield ", ".join(names)
    yield from (text for text in found.metadata.get_all("License") or [] if text and "\n" not in text)


def main(path: str) -> None:
    document = Path(path)
    before, _, rest = document.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1])
