"""Lets the proxy in front send originals that lie on its disk (nginx: X-Accel-Redirect). API room.

The service has judged the request by then: who asks, preconditions, whether the range exists. The proxy moves
the bytes, and cuts the range out of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from media_service.storage.keys import ORIGINALS
from media_service.storage.local_paths import object_path

JUDGED_AGAIN = ("if-match", "if-unmodified-since")
"""nginx would judge these a second time, by the file instead of by what we say of it, and answer 412."""

NOT_PASSED_ON = frozenset({"Accept-Ranges"})
"""nginx says these of its own accord, and would say them twice."""


@dataclass(frozen=True, slots=True)
class AccelRedirect:
    """`prefix` is the proxy's internal location of the folder of objects; it begins and ends in a slash."""

    prefix: str

    def sends(self, key: str, request_headers: Mapping[str, str]) -> bool:
        """Whether the proxy shall send this object.

        Renditions stay with the service: they are small, and the public ones lie in the proxy's cache, which
        keeps no redirects.
        """
        return key.startswith(ORIGINALS) and not any(name in request_headers for name in JUDGED_AGAIN)

    def response(self, key: str, *, content_type: str, headers: Mapping[str, str]) -> Response:
        """The head of the answer, for the proxy to complete."""
        passed_on = {name: value for name, value in headers.items() if name not in NOT_PASSED_ON}
        answer = Response(headers={**passed_on, "X-Accel-Redirect": self.prefix + object_path(key)})
        answer.headers["Content-Type"] = content_type  # by hand: a text type must not gain a charset
        return answer
