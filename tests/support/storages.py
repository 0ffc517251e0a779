"""Storages with faults: each wraps a real one and overrides what shall go wrong."""

import threading
from collections.abc import Callable
from typing import Any

from media_service.storage.port import Bytes, PartReceipt, Storage

BLOCKED_SECONDS = 60
"""No test waits so long; a blocked thread must not outlive the run."""


class WrappedStorage:
    """Passes everything on to the storage it wraps."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class RaisingStorage(WrappedStorage):
    """Raises `error` from the named methods; `after=True` does the work first, as a lost answer would."""

    def __init__(self, inner: Storage, *methods: str, error: BaseException, after: bool = False) -> None:
        super().__init__(inner)
        self._methods = methods
        self._error = error
        self._after = after

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._methods:
            return super().__getattribute__(name)

        def fail(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                getattr(self._inner, name)(*args, **kwargs)
            raise self._error

        return fail


class BlockedStorage(WrappedStorage):
    """Holds every part until it is released."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.released = threading.Event()
        self.bytes_taken = 0

    def put_part(self, key: str, upload_id: str, number: int, data: Bytes) -> PartReceipt:
        self.bytes_taken += len(data)
        self.released.wait(BLOCKED_SECONDS)
        return self._inner.put_part(key, upload_id, number, data)


class HookedStorage(WrappedStorage):
    """Calls `hook` right after the first call of the named method: what others do meanwhile."""

    def __init__(self, inner: Storage, method: str, hook: Callable[[], object]) -> None:
        super().__init__(inner)
        self._method = method
        self._hook: Callable[[], object] | None = hook

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name != self._method or self._hook is None:
            return super().__getattribute__(name)
        hook, self._hook = self._hook, None

        def call(*args: Any, **kwargs: Any) -> Any:
            result = getattr(self._inner, name)(*args, **kwargs)
            hook()
            return result

        return call
