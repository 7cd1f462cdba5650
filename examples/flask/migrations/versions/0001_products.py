"""products"""
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    product = op.create_table(
        "product",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("price_cents", sa.Integer, nullable=False),
    )
    op.bulk_insert(product, [
        {"name": "Anchor", "price_cents": 4900},
        {"name": "Rope", "price_cents": 1250},
        {"name": "Lamp", "price_cents": 2999},
    ])


def downgrade():
    op.drop_table("product")
