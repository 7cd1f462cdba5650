import os
import signal
import threading

from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from orders.models import Order, WorkerSpan
from shop import release


class Command(BaseCommand):
    help = "Processes orders until it is told to stop by SIGTERM."

    def add_arguments(self, parser):
        parser.add_argument("--every", type=float, default=0.2, help="seconds between two looks")
        parser.add_argument("--once", action="store_true", help="look once and end")

    def handle(self, *args, every, once, **options):
        stop = threading.Event()
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda *_: stop.set())
        who = release.RELEASE or release.VERSION
        span = WorkerSpan.objects.create(release=who, pid=os.getpid(), started_at=Now(), seen_at=Now())
        while True:
            process(who)
            WorkerSpan.objects.filter(pk=span.pk).update(seen_at=Now())
            if once or stop.wait(every):
                break
        WorkerSpan.objects.filter(pk=span.pk).update(seen_at=Now(), ended=True)


def process(who):
    with transaction.atomic():
        waiting = Order.objects.filter(processed_at__isnull=True).order_by("id")
        if connection.features.has_select_for_update_skip_locked:
            waiting = waiting.select_for_update(skip_locked=True)
        for order in waiting[:100]:
            order.processed_at, order.processed_by = timezone.now(), who
            order.save(update_fields=["processed_at", "processed_by"])
