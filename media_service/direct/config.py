"""Settings of direct uploads. Core room."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from media_service.durations import Duration

MEBIBYTE = 1024**2
GIBIBYTE = 1024**3


class DirectSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    direct_upload_ttl: Duration = timedelta(hours=24)
    """From the start of a direct upload to the moment at which it is over, done or not. Its quota is reserved
    and its parts are stored until then: longer lets large files survive a night offline, shorter frees the
    space of uploads that nobody goes on with."""
    direct_url_ttl: Annotated[Duration, Field(le=timedelta(days=7))] = timedelta(hours=1)
    """Life of one URL of a part; new ones can be had while the upload lives. Whoever has such a URL can send
    that part, so it need not outlive the sending of a part. S3 signs for seven days at most."""
    direct_part_size: Annotated[int, Field(ge=5 * MEBIBYTE, le=5 * GIBIBYTE)] = 64 * MEBIBYTE
    """Bytes of a part; a file up to this size is sent by one request. Larger parts are fewer requests, and
    more to send again after a cut line. S3 takes parts of 5 MiB to 5 GiB."""
