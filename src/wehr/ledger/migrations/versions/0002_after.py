"""Events say what a rule is from then on, and servers by which days their last event went.

What stands gets one more event that says so: the old ones are not rewritten.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new."""
    for name, default in (("memory_days", "30"), ("forget_days", "180")):
        op.add_column("servers", sa.Column(name, sa.Integer(), nullable=False, server_default=default))
    op.add_column("events", sa.Column("after", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    at = connection.scalar(sa.text("SELECT max(at) FROM events")) or 0.0
    insert = sa.text(
        "INSERT INTO events (at, kind, tenant, ref, name, actor, detail, after)"
        " VALUES (:at, 'recorded', :tenant, '', '', 'wehr', :detail, :after)"
    )
    for word in ("pause", "exemption"):
        for row in connection.execute(sa.text(f"SELECT id, tenant, value FROM {word}s ORDER BY id")).all():  # noqa: S608
            said = {
                "detail": json.dumps({"id": row.id}),
                "after": f'{{"{word}":{bytes(row.value).decode()}}}',
            }
            connection.execute(insert, {"at": at, "tenant": row.tenant, **said})
    past = connection.scalar(sa.text("SELECT value FROM meta WHERE name = 'past'"))
    for era in json.loads(past)["eras"][1:] if past else []:
        said = {"detail": "{}", "after": json.dumps({"era": era})}
        connection.execute(insert, {"at": at, "tenant": "", **said})
