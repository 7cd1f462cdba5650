"""A shop in Flask. Everything that differs between places comes from the environment."""
import os

from flask import Flask
from flask_migrate import Migrate

from shop import release, views
from shop.models import db


def database_url(url):
    """SQLAlchemy wants to be told which driver to use for postgres://."""
    scheme, found, rest = url.partition("://")
    if found and scheme in ("postgres", "postgresql"):
        return "postgresql+psycopg://" + rest
    return url


def create_app():
    app = Flask(__name__)
    # No default: a shop that signs with a known key is open to everybody.
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url(os.environ["DATABASE_URL"])
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_pre_ping": True}
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    hosts = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
    app.config["TRUSTED_HOSTS"] = [host.strip() for host in hosts.split(",") if host.strip()]
    db.init_app(app)
    Migrate(app, db)
    release.init_app(app)
    app.register_blueprint(views.shop)
    return app
