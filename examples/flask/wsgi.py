"""What gunicorn and the flask command load: "gunicorn wsgi:app", "flask db …"."""
from shop import create_app, release

app = create_app()
release.arm()
