"""What all S3 servers of the tests have in common. Each is a real one over HTTP, in processes of its own."""

from dataclasses import dataclass

import boto3
from botocore.config import Config

BUCKET = "media-test"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where a server listens, a bucket that exists there, and who may use it."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str = BUCKET
    region: str = REGION


def environment(*, access_key: str, secret_key: str) -> dict[str, str]:
    """What boto3 must see in a test: these credentials, and nothing of whoever runs the tests."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def create_bucket(server: S3Server) -> None:
    client = boto3.session.Session().client(
        "s3",
        region_name=server.region,
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 1}),
    )
    try:
        client.create_bucket(Bucket=server.bucket)
    finally:
        client.close()
