# shiplock: phase=expand reason="version 1 shows whatever price is there"
from django.db import migrations


def round_prices(apps, schema_editor):
    product = apps.get_model("catalog", "Product")
    for row in product.objects.using(schema_editor.connection.alias).iterator():
        row.price_cents = round(row.price_cents, -2)
        row.save(update_fields=["price_cents"])


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]

    # No way back: what the prices were is not kept.
    operations = [migrations.RunPython(round_prices)]
