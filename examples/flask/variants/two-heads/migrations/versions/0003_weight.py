"""weight"""
import sqlalchemy as sa
from alembic import op

revision = "0003b"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("product", sa.Column("weight_grams", sa.Integer))


def downgrade():
    op.drop_column("product", "weight_grams")
