from django.db import models


class Order(models.Model):
    # The buyer's own id of the order. A request that arrives twice finds it
    # taken and is counted in "attempts" instead of being carried out again.
    key = models.CharField(max_length=64, unique=True)
    product = models.ForeignKey("catalog.Product", on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=1)
    taken_by = models.CharField(max_length=100)  # release that answered
    created_at = models.DateTimeField(auto_now_add=True)
    processed_at = models.DateTimeField(null=True)
    processed_by = models.CharField(max_length=100, blank=True, default="")  # release that processed it


class WorkerSpan(models.Model):
    """From when to when a worker of a release ran, by the database's clock.

    Two spans of different releases that overlap mean that two versions of the
    worker ran at once.
    """

    release = models.CharField(max_length=100)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended = models.BooleanField(default=False)
