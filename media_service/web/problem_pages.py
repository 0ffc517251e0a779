"""The pages at `/problems/<code>`: what the `type` of every problem points to. API room."""

from html import escape

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.web.kept_answer import page_answer
from media_service.web.problem_catalogue import CATALOGUE

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<h1>{title}</h1><p><code>{code}</code></p><p>{text}</p><p><a href="/problems">All problems</a></p></html>
"""


@router.get("/problems", response_class=HTMLResponse)
async def list_problems(request: Request) -> Response:
    """Every problem, with its title."""
    rows = "".join(
        f'<li><a href="/problems/{code}"><code>{code}</code></a>: {escape(title)}</li>'
        for code, (title, _) in sorted(CATALOGUE.items())
    )
    return page_answer(
        request,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Problems</title><ul>{rows}</ul></html>',
    )


@router.get("/problems/{code}", response_class=HTMLResponse)
async def describe_problem(code: str, request: Request) -> Response:
    """What a problem means and what to do about it."""
    if code not in CATALOGUE:
        raise MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such problem.")
    title, text = CATALOGUE[code]
    return page_answer(request, _PAGE.format(title=escape(title), code=code, text=escape(text)))
