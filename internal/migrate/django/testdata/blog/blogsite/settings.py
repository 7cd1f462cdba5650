"""A project of one app and nothing of Django's own that migrates."""
import os
from urllib.parse import urlsplit

url = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = "for-tests-only"
INSTALLED_APPS = ["blog"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:],
    "USER": url.username, "HOST": url.hostname, "PORT": url.port,
}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
