from django.urls import path

from catalog import views as catalog
from orders import views as orders
from shop import views

urlpatterns = [
    path("healthz", views.healthz),
    path("", catalog.home),
    path("products/", catalog.products),
    path("orders/", orders.orders),
    path("media/", views.upload),
    path("media/<path:name>", views.download),
]
