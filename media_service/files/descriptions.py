"""What clients are shown of files, as JSON: from the cache, or else from the database. API room."""

from dataclasses import astuple, dataclass
from uuid import UUID

from media_service.auth.scopes import Caller
from media_service.files.cache import AnswerCache, Entry, Place, place_of
from media_service.files.ordering import FileOrder
from media_service.files.presentation import FilePresenter
from media_service.files.queries import FileFilter
from media_service.files.schemas import FilePage
from media_service.files.service import FileService
from media_service.web.kept_answer import json_body


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of which list."""

    wanted: FileFilter
    order: FileOrder
    cursor: str | None
    limit: int


class FileDescriptions:
    """Answers to GET, ready to be sent."""

    def __init__(self, files: FileService, presenter: FilePresenter, *, cache: AnswerCache | None) -> None:
        self._files = files
        self._presenter = presenter
        self._cache = cache

    def place_of_page(self, caller: Caller, query: PageQuery) -> Place | None:
        """Where a page is kept, which also gives its tag; None for an admin, who sees everybody's files."""
        if caller.is_admin:
            return None
        question = [*astuple(query.wanted)[1:], query.order, query.cursor, query.limit]
        return place_of(caller, "page", question, namespace=self._presenter.namespace)

    async def page(self, caller: Caller, query: PageQuery, place: Place | None) -> Entry:
        """A page of the caller's files. Raises MediaServiceError (bad cursor)."""
        if place is not None and self._cache is not None and (kept := await self._cache.get(place)):
            return kept
        page = await self._files.list_page(
            caller, query.wanted, order=query.order, cursor=query.cursor, limit=query.limit
        )
        shown = FilePage(
            items=[self._presenter.file(file, file.renditions) for file in page.files],
            next_cursor=page.next_cursor,
        )
        found = json_body(shown, etag=place.etag if place is not None else None)
        entry = Entry(found.body, found.etag, page.next_cursor)
        if place is not None and self._cache is not None:
            await self._cache.put(place, entry)
        return entry

    async def file(self, file_id: UUID, caller: Caller) -> Entry:
        """The description of one file. Raises MediaServiceError (not found)."""
        place = place_of(caller, "file", [file_id.hex], namespace=self._presenter.namespace)
        if self._cache is not None and (kept := await self._cache.get(place)):
            return kept
        file = await self._files.get(file_id, caller)
        shown = self._presenter.file(file, file.renditions)
        found = json_body(shown, etag=self._presenter.entity_tag(shown.etag))
        entry = Entry(found.body, found.etag)
        # An admin sees files of others, too, of whose revision nothing is known here.
        if self._cache is not None and file.owner_id == caller.owner_id:
            await self._cache.put(place, entry)
        return entry
