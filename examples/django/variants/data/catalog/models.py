from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True, default="")
    price_cents = models.PositiveIntegerField()
    stock = models.PositiveIntegerField(default=0)
    subtitle = models.CharField(max_length=200, null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return self.name
