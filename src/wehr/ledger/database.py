"""A store's database: one connection, transactions, and errors in this room's words."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from wehr.ledger.opening import translated


class Database:
    """An opened database. Any thread may use it, one at a time.

    ``name`` is what errors call it; ``listens`` tells whether it says by itself that something was changed
    (PostgreSQL), or has to be asked (SQLite).
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.listens = engine.dialect.name == "postgresql"
        self._engine = engine
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that reads, for other modules."""
        return self._read()

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that writes, for other modules; with SQLite it is the only one."""
        return self._write()

    @contextmanager
    def _read(self, *, still: bool = False) -> Iterator[Connection]:
        """``still``: all statements see one moment, as they always do with SQLite."""
        with self._lock, translated(self.name), self._engine.connect() as connection:
            connection.execution_options(wehr_writes=False)
            if still and self.listens:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._lock, translated(self.name), self._engine.begin() as connection:
            yield connection
