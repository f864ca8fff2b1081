"""What has an end: `with`, `async with`, and what `contextlib.closing` and `aclosing` call."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

Own = TypeVar("Own", bound="AsyncClosing")
OwnSync = TypeVar("OwnSync", bound="Closing")


class AsyncClosing:
    """Is closed by ``await it.aclose()``, and at the end of ``async with``."""

    async def aclose(self) -> None:
        """Ends it."""
        raise NotImplementedError

    async def __aenter__(self: Own) -> Own:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Closing(AsyncClosing):
    """Is closed by ``close()`` as well, and at the end of ``with``."""

    def close(self) -> None:
        """Ends it."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """The same, as ``contextlib.aclosing`` calls it."""
        self.close()

    def __enter__(self: OwnSync) -> OwnSync:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
