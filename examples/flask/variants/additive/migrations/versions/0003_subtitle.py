"""subtitle"""
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("product", sa.Column("subtitle", sa.String(200)))


def downgrade():
    op.drop_column("product", "subtitle")
