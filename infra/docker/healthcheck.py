"""Docker's HEALTHCHECK of the API: exit code 0 while `/readyz` says yes. Standard library only, 50 ms.

Docker starts nothing anew because of it: it holds back what depends on the API (`depends_on`), and shows.
"""

import http.client
import os
import sys

PATIENCE_SECONDS = 3


def is_ready() -> bool:
    port = int(os.environ.get("MEDIA_PORT") or 8000)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(not is_ready())
