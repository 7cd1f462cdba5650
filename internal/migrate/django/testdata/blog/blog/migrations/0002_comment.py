import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("blog", "0001_post")]
    operations = [
        migrations.CreateModel("Comment", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("post", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="blog.post")),
        ]),
    ]
