# shiplock: phase=expand reason="adds a column, and misbehaves on purpose"
"""subtitle, slowly and outside a transaction"""
import os

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE product ADD COLUMN subtitle varchar(200)")
        op.execute("SELECT pg_sleep(%f)" % float(os.environ.get("SHOP_SLOW_MIGRATION", "20")))


def downgrade():
    op.drop_column("product", "subtitle")
