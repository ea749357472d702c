"""The engine for PostgreSQL; imported only where one is used, for its driver is an extra."""

from typing import Any, Final

from psycopg import Connection, Cursor, ServerCursor
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

PATIENCE: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""libpq's parameters: seconds, and for the last milliseconds without an acknowledgement."""


def postgresql_engine(where: URL) -> Engine:
    """One connection, which a cut network ends within ten seconds rather than hours."""
    engine = create_engine(
        where.set(drivername="postgresql+psycopg"),
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        # A journal segment is removed once it is in the store: so a commit must outlive a crash.
        connect_args={
            **PATIENCE,
            "application_name": "wehr",
            "options": "-c synchronous_commit=on",
        },
    )
    event.listen(engine, "connect", _use_closing_cursor)
    return engine


class _ClosingCursor(ServerCursor[Any]):
    """A server's cursor that is closed even where the server is gone.

    psycopg sends CLOSE first, and where that fails leaves the cursor open, to complain when it is collected.
    """

    def close(self) -> None:
        """Close it, and raise what the server's side raised."""
        try:
            super().close()
        finally:
            Cursor.close(self)  # its part without the server


def _use_closing_cursor(connection: Connection[Any], _record: object) -> None:
    connection.server_cursor_factory = _ClosingCursor
