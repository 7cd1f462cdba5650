# shiplock: phase=expand reason="adds a column, and misbehaves on purpose"
"""subtitle, and a table that is not there"""
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("product", sa.Column("subtitle", sa.String(200)))
    op.execute("UPDATE supplier SET name = 'unknown'")


def downgrade():
    op.drop_column("product", "subtitle")
