"""Takes out of an image's packages what this service cannot reach. Standard library only; `slim.py VENV`.

botocore describes some four hundred services of AWS in 25 MB; this one speaks to S3, to SQS if it is Celery's
broker, and to what gives credentials.
"""

import shutil
import sys
from pathlib import Path

SERVICES = {"s3", "sqs", "sts", "sso", "sso-oidc", "signin"}


def main(venv: Path) -> None:
    for data in venv.glob("lib/python3*/site-packages/botocore/data"):
        for service in data.iterdir():
            if service.is_dir() and service.name not in SERVICES:
                shutil.rmtree(service)
    # Tests of libraries; none of them is imported by another part of its library.
    for tests in venv.glob("lib/python3*/site-packages/*/tests"):
        shutil.rmtree(tests)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
