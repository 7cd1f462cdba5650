# shiplock: phase=expand reason="adds a column, and sleeps"
import os
import time

from django.db import migrations, models


def sleep(apps, schema_editor):
    time.sleep(float(os.environ.get("SHOP_SLOW_MIGRATION", "20")))


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]

    operations = [
        migrations.AddField("product", "subtitle", models.CharField(blank=True, max_length=200, null=True)),
        migrations.RunPython(sleep, migrations.RunPython.noop),
        migrations.AddField("product", "weight_grams", models.PositiveIntegerField(null=True)),
    ]
