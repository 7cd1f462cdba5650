from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL refuses to build an index concurrently inside a transaction.
    atomic = False
    dependencies = [("catalog", "0002_stock")]

    operations = [AddIndexConcurrently("product", models.Index(fields=["price_cents"], name="product_price"))]
