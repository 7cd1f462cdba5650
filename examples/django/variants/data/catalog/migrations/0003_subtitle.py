from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]

    operations = [
        migrations.AddField("product", "subtitle", models.CharField(blank=True, max_length=200, null=True)),
    ]
