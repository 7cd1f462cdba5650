from flask import Blueprint, jsonify, render_template, request
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from shop import release
from shop.models import Order, Product, db

shop = Blueprint("shop", __name__)


@shop.get("/healthz")
def healthz():
    """Healthy is: the database answers."""
    if not release.healthy():
        return "unhealthy on purpose\n", 503
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return "the database does not answer\n", 503
    return "ok\n"


@shop.get("/")
def home():
    products = db.session.scalars(select(Product).order_by(Product.id).limit(20)).all()
    return render_template("home.html", products=products, version=release.VERSION, release=release.RELEASE)


@shop.get("/products/")
def products():
    """Every column of every product, so that a missing column is an error here."""
    columns = Product.__table__.columns.keys()
    found = db.session.scalars(select(Product).order_by(Product.id).limit(100))
    return jsonify([{name: getattr(product, name) for name in columns} for product in found])


@shop.post("/orders/")
def take():
    """Takes {"key": …, "product": 1}, as JSON or as a form."""
    wanted = request.get_json() if request.is_json else request.form
    try:
        key, product = str(wanted["key"]), int(wanted.get("product", 1))
    except (ValueError, TypeError, KeyError, AttributeError):
        return {"error": "send key and product"}, 400
    if not 0 < len(key) <= 64:
        return {"error": "key is 1 to 64 characters"}, 400
    if db.session.get(Product, product) is None:
        return {"error": "no such product"}, 404
    db.session.add(Order(key=key, product_id=product, taken_by=release.RELEASE or release.VERSION))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        db.session.execute(update(Order).where(Order.key == key).values(attempts=Order.attempts + 1))
        db.session.commit()
        return {"key": key, "duplicate": True}
    return {"key": key, "duplicate": False}, 201


@shop.get("/orders/")
def counted():
    orders, attempts = db.session.execute(select(func.count(Order.id), func.coalesce(func.sum(Order.attempts), 0))).one()
    return {"orders": orders, "attempts": int(attempts)}
