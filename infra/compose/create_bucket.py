"""Makes the bucket of the S3 server in docker-compose.yml, if it is not there; runs in the API's image."""

import sys

import boto3
from botocore.exceptions import ClientError

from media_service.config import load_settings

ALREADY_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def main() -> None:
    settings = load_settings()
    if settings.s3_bucket is None or settings.s3_endpoint_url is None:
        sys.exit("MEDIA_S3_BUCKET and MEDIA_S3_ENDPOINT_URL are needed")
    client = boto3.client("s3", endpoint_url=str(settings.s3_endpoint_url), region_name=settings.s3_region)
    try:
        client.create_bucket(Bucket=settings.s3_bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ALREADY_THERE:
            raise


if __name__ == "__main__":
    main()
