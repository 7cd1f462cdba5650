from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]

    operations = [migrations.RenameField("product", "name", "title")]
