# shiplock: phase=expand reason="version 1 shows whatever price is there"
"""round prices"""
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("UPDATE product SET price_cents = round(price_cents, -2)")


def downgrade():
    raise NotImplementedError("what the prices were is not kept")
