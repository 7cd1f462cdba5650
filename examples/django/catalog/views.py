from django.core import serializers
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from catalog.models import Product


@require_GET
def home(request):
    return render(request, "catalog/home.html", {"products": Product.objects.all()[:20]})


@require_GET
def products(request):
    """Every column of every product, so that a missing column is an error here."""
    return HttpResponse(serializers.serialize("json", Product.objects.all()[:100]), content_type="application/json")
