"""`/docs` and `/redoc`: the framework's pages, without any other host and under a strict policy. API room."""

import base64
import hashlib
import re

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html

from media_service.web.header_policies import ASSETS_PREFIX, docs_policy
from media_service.web.kept_answer import page_answer

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install_docs(app: FastAPI) -> None:
    """Add both pages; their scripts and styles are those that `fastapi-offline` mounts."""
    favicon = f"{ASSETS_PREFIX}favicon.png"
    swagger = get_swagger_ui_html(
        openapi_url=app.openapi_url or "",
        title=f"{app.title}: Swagger UI",
        swagger_js_url=f"{ASSETS_PREFIX}swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS_PREFIX}swagger-ui.css",
        swagger_favicon_url=favicon,
    )
    redoc = get_redoc_html(
        openapi_url=app.openapi_url or "",
        title=f"{app.title}: ReDoc",
        redoc_js_url=f"{ASSETS_PREFIX}redoc.standalone.js",
        redoc_favicon_url=favicon,
        with_google_fonts=False,
    )
    for path, page in (("/docs", swagger), ("/redoc", redoc)):
        _install(app, path, bytes(page.body).decode())


def _install(app: FastAPI, path: str, html: str) -> None:
    policy = docs_policy(script_hashes=tuple(_digest(script) for script in _INLINE_SCRIPT.findall(html)))

    async def show(request: Request) -> Response:
        return page_answer(request, html, headers={"Content-Security-Policy": policy})

    app.get(path, include_in_schema=False, name=f"show_{path[1:]}")(show)


def _digest(script: str) -> str:
    """What lets this one script run and no other that somebody might get into the page (CSP 3 §8.3)."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
