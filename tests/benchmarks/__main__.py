"""`python -m tests.benchmarks [--quick] [--only NAME]... [--data FOLDER]`."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.descriptions import descriptions
from tests.benchmarks.downloads import downloads
from tests.benchmarks.listings import listings
from tests.benchmarks.readiness import readiness
from tests.benchmarks.renditions import renditions
from tests.benchmarks.report import Row, table, write_json
from tests.benchmarks.scale import FULL, QUICK, Scale
from tests.benchmarks.servers import PROJECT_ROOT
from tests.benchmarks.small_uploads import small_uploads
from tests.benchmarks.streaming import streaming

BENCHMARKS: dict[str, Callable[[Path, Scale], list[Row]]] = {
    "small-uploads": small_uploads,
    "streaming": streaming,
    "downloads": downloads,
    "renditions": renditions,
    "readiness": readiness,
    "listings": listings,
    "descriptions": descriptions,
}
BUILD = PROJECT_ROOT / "build"


def main() -> None:
    options = _options()
    BUILD.mkdir(exist_ok=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.data.resolve()) as folder:
        for name in options.only or BENCHMARKS:
            started = time.monotonic()
            rows += BENCHMARKS[name](Path(folder, name), QUICK if options.quick else FULL)
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
            # After each one, so that an interrupted run has not been for nothing.
            write_json(rows, BUILD / "bench.json", quick=options.quick)
    print(f"\n{table(rows)}\n\nThe same as JSON: {BUILD / 'bench.json'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds and no 1 GiB")
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--data", type=Path, default=BUILD, help="where all contenders keep their files")
    return parser.parse_args()


if __name__ == "__main__":
    main()
