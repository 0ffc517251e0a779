"""Makes an image's packages small and quick to start. Standard library only; `finish_packages.py FOLDER...`.

botocore describes some four hundred services of AWS in 25 MB; this service speaks to S3, to SQS if it is
Celery's broker, and to what gives credentials. Modules are compiled here since a read-only root could not
keep what it compiles; without looking at times, which layers of images do not keep exactly.
"""

import compileall
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

UNCHECKED = PycInvalidationMode.UNCHECKED_HASH
SERVICES = {"s3", "sqs", "sts", "sso", "sso-oidc", "signin"}


def main(folders: list[str]) -> None:
    for folder in map(Path, folders):
        for data in folder.glob("**/botocore/data"):
            remove([path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES])
        # Of libraries, for themselves: none is imported by another part of its library.
        remove(list(folder.glob("**/site-packages/*/tests")))
        compileall.compile_dir(
            folder, quiet=2, force=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        )


def remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
