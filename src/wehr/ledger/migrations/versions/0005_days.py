"""Messages of all servers by day: pages need not add up those of each server."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# Twice what the pages look back: more would keep the start of a large store waiting for nothing.
_FILL = """
INSERT INTO days (day, tenant, action, enforced, messages)
SELECT t.day, s.tenant, t.action, t.enforced, sum(t.messages)
FROM tallies t JOIN servers s ON s.ref = t.ref
WHERE t.day > (SELECT max(day) FROM tallies) - 60
GROUP BY t.day, s.tenant, t.action, t.enforced
"""


def upgrade() -> None:
    """Make the table, and add up what has been counted of late."""
    op.create_table(
        "days",
        sa.Column("day", sa.Integer(), primary_key=True),
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("action", sa.Text(), primary_key=True),
        sa.Column("enforced", sa.Boolean(), primary_key=True),
        sa.Column("messages", sa.BigInteger(), nullable=False),
    )
    op.execute(_FILL)
