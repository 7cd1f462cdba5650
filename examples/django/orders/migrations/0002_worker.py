from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.AddField("order", "processed_at", models.DateTimeField(null=True)),
        migrations.AddField("order", "processed_by", models.CharField(blank=True, default="", max_length=100)),
        migrations.CreateModel(
            name="WorkerSpan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("release", models.CharField(max_length=100)),
                ("pid", models.IntegerField()),
                ("started_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("ended", models.BooleanField(default=False)),
            ],
        ),
    ]
