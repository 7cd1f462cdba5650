from django.db import migrations, models


def first_products(apps, schema_editor):
    product = apps.get_model("catalog", "Product")
    product.objects.using(schema_editor.connection.alias).bulk_create(
        [product(name=name, price_cents=price, stock=1000) for name, price in (("Anchor", 4900), ("Rope", 1250), ("Lamp", 2999))]
    )


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]

    operations = [
        migrations.AddField("product", "stock", models.PositiveIntegerField(default=0)),
        migrations.RunPython(first_products, migrations.RunPython.noop),
    ]
