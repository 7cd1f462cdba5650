import json

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, Sum
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from catalog.models import Product
from orders.models import Order
from shop import release


# The shop has no sessions, so there is nothing a forged request could borrow.
@csrf_exempt
@require_http_methods(["GET", "POST"])
def orders(request):
    return take(request) if request.method == "POST" else counted()


def take(request):
    """Takes {"key": …, "product": 1, "quantity": 2}, as JSON or as a form."""
    try:
        wanted = json.loads(request.body) if request.content_type == "application/json" else request.POST
        key, quantity = str(wanted["key"]), int(wanted.get("quantity", 1))
        product = Product.objects.only("id").get(pk=int(wanted.get("product", 1)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return JsonResponse({"error": "send key, product and quantity"}, status=400)
    except Product.DoesNotExist:
        return JsonResponse({"error": "no such product"}, status=404)
    if not 0 < len(key) <= 64 or not 0 < quantity <= 1000:
        return JsonResponse({"error": "key is 1 to 64 characters, quantity 1 to 1000"}, status=400)
    try:
        with transaction.atomic():
            Order.objects.create(key=key, product=product, quantity=quantity, taken_by=release.RELEASE or release.VERSION)
    except IntegrityError:
        Order.objects.filter(key=key).update(attempts=F("attempts") + 1)
        return JsonResponse({"key": key, "duplicate": True})
    return JsonResponse({"key": key, "duplicate": False}, status=201)


def counted():
    counts = Order.objects.aggregate(
        orders=Count("id"), attempts=Sum("attempts"), processed=Count("id", filter=Q(processed_at__isnull=False))
    )
    counts["attempts"] = counts["attempts"] or 0
    return JsonResponse(counts)
