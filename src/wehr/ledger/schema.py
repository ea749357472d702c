"""The tables of the store, for SQLite and PostgreSQL alike. Times are UTC seconds since 1970.

Servers are known by their reference (`wehr.ledger.memory.reference`). Rows of servers carry ``change``, the
number of the transaction that wrote them last; it rises in the order of commits, so that others can follow.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

REVISION: Final = "0005"
"""The newest migration."""

metadata: Final = MetaData()

# BIGINT would not be an alias of SQLite's row number.
_Serial = BigInteger().with_variant(Integer, "sqlite")

meta: Final = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

counter: Final = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""``change``: transactions that wrote servers; ``rules``: those that wrote pauses, exemptions or ladders."""

servers: Final = Table(
    "servers",
    metadata,
    Column("ref", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("software", Text, nullable=False),
    # the latest evidence
    Column("seen_at", Double, nullable=False),
    Column("build", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("relation", Text, nullable=False),
    Column("client_ip", Text, nullable=False),
    Column("client_name", Text, nullable=False),
    Column("line", Text, nullable=False),
    # the latest decision
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("enforced", Boolean, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("change", BigInteger, nullable=False),
    # the days that its last event went by
    Column("memory_days", Integer, nullable=False, server_default="30"),
    Column("forget_days", Integer, nullable=False, server_default="180"),
    UniqueConstraint("tenant", "network", "name", name="servers_key"),
    Index("servers_change", "change"),
    Index("servers_last_seen", "last_seen"),
)

sightings: Final = Table(
    "sightings",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("ref", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("node", Text, nullable=False),
    Column("software", Text, nullable=False),
    Column("build", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("relation", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("client_ip", Text, nullable=False),
    Column("client_name", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("compliant", Boolean),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("enforced", Boolean, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("throttle", Integer, nullable=False),
    Column("block", Integer, nullable=False),
    Column("until", Double),
    Column("ladder", Text, nullable=False),
    Column("queue_id", Text, nullable=False),
    Column("door", Text, nullable=False),
    Index("sightings_of_server", "ref", "at"),
    Index("sightings_at", "at"),
)
"""The history: each message's evidence and what was decided on it."""

tallies: Final = Table(
    "tallies",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("ref", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("enforced", Boolean, primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Index("tallies_of_server", "ref", "day"),
)
"""Messages per server and day (counted from 1970-01-01)."""

days: Final = Table(
    "days",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("enforced", Boolean, primary_key=True),
    Column("messages", BigInteger, nullable=False),
)
"""The sums of the tallies, which of a large fleet are too many to be summed for a page.

Unlike those they keep what was counted of servers that had to make room.
"""

events: Final = Table(
    "events",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("after", Text, nullable=False, server_default=""),
    Index("events_at", "at"),
    Index("events_of_server", "ref", "at"),
)
"""What people and the ladder changed: only ever added to.

``detail`` is JSON, and so is ``after``: the pause, exemption or era as it is from then on, "" where there is
none. Pauses, exemptions and eras can be rebuilt from it.
"""

pauses: Final = Table(
    "pauses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
)
"""``value`` is the pause as JSON."""

exemptions: Final = Table(
    "exemptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
)
"""``value`` is the exemption as JSON."""

journals: Final = Table(
    "journals",
    metadata,
    Column("node", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)
"""How far each node's journal has been carried in, and when that was last done."""

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("episode", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("due", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("holder", Text, nullable=False),
    Column("held_until", Double, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("servers", Text, nullable=False),
    Column("cves", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Whichever node comes first writes it; there is no second.
    UniqueConstraint("kind", "tenant", "organisation", "reason", "episode", name="outbox_key"),
    Index("outbox_due", "state", "due"),
    Index("outbox_message", "message_id"),
)
"""What is written to others: notices, digests, webhooks. ``recipients``, ``servers``, ``cves`` are JSON."""

stopped_contacts: Final = Table(
    "stopped_contacts",
    metadata,
    Column("address", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("why", Text, nullable=False),
)
"""Addresses that mail came back from: they are not written to any more."""

accounts: Final = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("tenants", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)
"""Who may log in to the pages. ``tenants`` is JSON, ``password`` an argon2 hash."""

invitations: Final = Table(
    "invitations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("tenants", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("expires", Double, nullable=False),
)
"""One-time links to set a password, by the hash of their secret. Empty: the guest chooses a name."""

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("client_ip", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("sessions_of_account", "account"),
)
"""Who is logged in, by the hash of what their browser holds."""

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("tenants", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("used", Double, nullable=False),
    Column("revoked", Boolean, nullable=False),
)
"""What programs log in with, by a part that is no secret; of the other part only the hash is kept."""
