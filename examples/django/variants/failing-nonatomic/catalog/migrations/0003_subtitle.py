# shiplock: phase=expand reason="adds a column, and fails on purpose"
from django.db import migrations, models


def fail(apps, schema_editor):
    raise ValueError("product 2 has no supplier")


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]
    atomic = False

    operations = [
        migrations.AddField("product", "subtitle", models.CharField(blank=True, max_length=200, null=True)),
        migrations.RunPython(fail, migrations.RunPython.noop),
    ]
