from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]

    operations = [
        migrations.AddField("product", "weight_grams", models.PositiveIntegerField(null=True)),
    ]
