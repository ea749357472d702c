"""Hearing of others' changes as they are committed: PostgreSQL's LISTEN, on a connection of its own."""

from types import TracebackType
from typing import Self

from sqlalchemy import URL

from wehr.ledger.carrying import CHANNEL
from wehr.ledger.errors import StoreAway


class Listening:
    """A connection that listens. Its descriptor becomes readable when there is something to `hear`.

    Raises:
        StoreAway: the store cannot be reached.
    """

    def __init__(self, url: URL) -> None:
        import psycopg

        from wehr.ledger.postgresql import PATIENCE

        self._lost = psycopg.Error
        try:
            self._connection = psycopg.connect(
                url.set(drivername="postgresql").render_as_string(hide_password=False),
                autocommit=True,
                application_name="wehr-listening",
                **PATIENCE,
            )
        except psycopg.Error as error:
            raise StoreAway(f"{url.render_as_string()}: {' '.join(str(error).split())}") from None
        try:
            self._connection.execute(f"LISTEN {CHANNEL}")
            # Asked for now, for a lost connection does not tell it any more.
            self._descriptor = self._connection.fileno()
        except psycopg.Error as error:
            self.close()
            raise StoreAway(f"{url.render_as_string()}: {' '.join(str(error).split())}") from None

    def fileno(self) -> int:
        """What to wait on; it stays the same when the connection is lost, until `close`."""
        return self._descriptor

    def hear(self) -> bool:
        """Whether something was changed since the last call; never waits.

        Raises:
            StoreAway: the connection is lost.
        """
        try:
            return sum(1 for _ in self._connection.notifies(timeout=0)) > 0
        except self._lost as error:
            raise StoreAway(" ".join(str(error).split())) from None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
