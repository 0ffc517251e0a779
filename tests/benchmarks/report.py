"""What a run found: one row per figure, as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure of ours beside one contender's. Without a contender there is no ratio."""

    figure: str
    unit: str
    ours: float
    contender: str = ""
    theirs: float | None = None
    target: str = ""
    """From the project's targets, as text: `>= 1.4 x`. Empty where only the ratio is of interest."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.theirs else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target holds; None where there is none."""
        if not self.target:
            return None
        relation, limit, *is_ratio = self.target.split()
        value = self.ratio if is_ratio == ["x"] else self.ours
        if value is None:
            return None
        return value >= float(limit) if relation == ">=" else value <= float(limit)


def table(rows: Iterable[Row]) -> str:
    """Columns aligned with spaces; figures to three significant digits."""
    lines = [["figure", "unit", "ours", "theirs", "ratio", "target", "contender"]]
    for row in rows:
        verdict = {None: "", True: " ok", False: " MISSED"}[row.is_met]
        numbers = [_short(row.ours), _short(row.theirs), _short(row.ratio)]
        lines.append([row.figure, row.unit, *numbers, row.target + verdict, row.contender])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(_aligned(line, widths) for line in lines)


def write_json(rows: Iterable[Row], path: Path, **about: Any) -> None:
    """All rows, and what they were measured on."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    found = [{**asdict(row), "ratio": row.ratio, "is_met": row.is_met} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **about, "rows": found}, indent=1) + "\n")


def _aligned(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
