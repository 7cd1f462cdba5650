# shiplock: phase=backfill reason="writes a column that version 1 does not know"
from django.db import migrations


def fill(apps, schema_editor):
    product = apps.get_model("catalog", "Product")
    for row in product.objects.using(schema_editor.connection.alias).filter(subtitle=None).iterator():
        row.subtitle = "The best %s of the harbour" % row.name.lower()
        row.save(update_fields=["subtitle"])


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_subtitle")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
