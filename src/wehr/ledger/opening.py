"""Opening a store: it is looked at before it is touched, then brought to the present tables."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from wehr.ledger.errors import LedgerError, StateDamaged, StoreAway, StoreNewer, StoreUnreadable
from wehr.ledger.schema import REVISION, counter, meta, metadata

_APPLICATION: Final = 0x57454852
"""``WEHR``, SQLite's application_id: tells our files from others'."""
_BUSY_MS: Final = 5000
_KNOWN: Final = tuple(f"{number:04}" for number in range(1, int(REVISION) + 1))
"""All revisions there have been."""
_DAMAGE: Final = ("malformed", "not a database", "corrupt")
_REMEDY: Final = "it has not been touched; restore a backup, or move it away and start with an empty one"


def open_engine(url: str, *, create: bool = True) -> Engine:
    """A ready store's engine, with one connection.

    Args:
        url: ``sqlite:////var/lib/wehr/wehr.sqlite``, or a PostgreSQL URL.
        create: whether a store that is not there is made.

    Raises:
        StoreUnreadable: it is damaged, not Wehr's, or not there.
        StoreNewer: a newer Wehr has written it.
        StoreAway: it cannot be reached at the moment.
        LedgerError: the URL cannot be used.
    """
    try:
        where = make_url(url)
    except ArgumentError:
        raise LedgerError(
            f"{url!r} is not the URL of a store, such as sqlite:////var/lib/wehr/wehr.sqlite"
        ) from None
    if where.get_backend_name() == "sqlite":
        engine = _sqlite(where, create=create)
    elif where.get_backend_name() == "postgresql":
        engine = _postgresql(where)
    else:
        raise LedgerError(f"{where.get_backend_name()!r} is no engine for a store; use sqlite or postgresql")
    name = where.render_as_string(hide_password=True) if where.host else str(where.database)
    try:
        with translated(name):
            # Whoever only opens it waits for no writer.
            with engine.connect().execution_options(wehr_writes=False) as connection:
                ready = _revision(connection, name) == REVISION
            if not ready:
                with engine.begin() as connection:
                    _prepare(connection, name, create=create)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn a driver's errors into this room's, each with the store's name and what to do.

    Raises:
        StoreUnreadable: the store is damaged.
        StoreAway: anything else: gone, locked, full, read-only.
    """
    try:
        yield
    except (StateDamaged, msgspec.MsgspecError) as error:
        raise StoreUnreadable(f"{name}: {error}; {_REMEDY}") from error
    except (DBAPIError, sqlite3.Error) as error:
        why = " ".join(str(getattr(error, "orig", error)).split())
        if any(sign in why for sign in _DAMAGE):
            raise StoreUnreadable(f"{name}: {why}; {_REMEDY}") from error
        raise StoreAway(f"{name}: {why}") from error


def _sqlite(where: URL, *, create: bool) -> Engine:
    if not where.database or where.database == ":memory:":
        raise LedgerError("a store is kept in a file, not in memory")
    path = Path(where.database)
    _look_at(path, create=create)
    engine = create_engine(where, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions: we do
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        # A journal segment is removed once it is in the store: so a commit must outlive the machine.
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not wait for another writer.
        immediate = connection.get_execution_options().get("wehr_writes", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgresql(where: URL) -> Engine:
    try:
        from wehr.ledger.postgresql import postgresql_engine
    except ImportError:
        raise LedgerError(
            "PostgreSQL needs the driver psycopg: install Wehr with its extra 'postgres'"
        ) from None
    return postgresql_engine(where)


def _look_at(path: Path, *, create: bool) -> None:
    """See that a file is ours or new, without changing a byte of it."""
    if not path.exists():
        if not create:
            raise StoreUnreadable(f"{path}: there is no store; name another, or start Wehr once to make it")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not exclusive: another worker may have been first.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreUnreadable(
                f"{path}: cannot be made: {error.strerror}; mend the folder's permissions"
            ) from None
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as look:
            application = look.execute("PRAGMA application_id").fetchone()[0]
            tables = look.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreAway(f"{path}: {error}; another program holds it") from None
        raise StoreUnreadable(f"{path}: {error}; mend its permissions, or name another file") from None
    except sqlite3.DatabaseError as error:
        raise StoreUnreadable(f"{path}: {error}; {_REMEDY}") from None
    if application != _APPLICATION and (tables or application):
        raise StoreUnreadable(
            f"{path}: is another program's database; it has not been touched; name another file"
        )


def _revision(connection: Connection, name: str) -> str | None:
    """Which tables it has; None: none yet."""
    tables = set(inspect(connection).get_table_names())
    revision = None
    if "alembic_version" in tables:
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    elif tables & set(metadata.tables):
        raise StoreUnreadable(f"{name}: holds tables that are not Wehr's; {_REMEDY}")
    if revision is not None and revision not in _KNOWN:
        raise StoreNewer(
            f"{name}: was written by a newer Wehr ({revision}); install that one again, or restore a backup"
        )
    return revision


def _prepare(connection: Connection, name: str, *, create: bool) -> None:
    if connection.dialect.name == "postgresql":
        # Workers that start together migrate one after the other.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPLICATION})
    revision = _revision(connection, name)  # another may have been first
    if revision == REVISION:
        return
    if revision is None and not create:
        raise StoreUnreadable(f"{name}: holds no store; name another, or start Wehr once to make it")
    _migrate(connection)
    if revision is None:
        connection.execute(meta.insert(), {"name": "secret", "value": secrets.token_hex(32)})
        connection.execute(counter.insert(), [{"name": "change", "value": 0}, {"name": "rules", "value": 0}])
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION}")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "wehr.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def read_secret(connection: Connection) -> bytes:
    """The secret that all nodes of a store share."""
    return bytes.fromhex(connection.execute(select(meta.c.value).where(meta.c.name == "secret")).scalar_one())
