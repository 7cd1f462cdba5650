from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Product(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(100), nullable=False)
    price_cents = db.Column(db.Integer, nullable=False)
    subtitle = db.Column(db.String(200))


class Order(db.Model):
    __tablename__ = "orders"

    id = db.Column(db.Integer, primary_key=True)
    # The buyer's own id of the order. A request that arrives twice finds it
    # taken and is counted in "attempts" instead of being carried out again.
    key = db.Column(db.String(64), nullable=False, unique=True)
    product_id = db.Column(db.ForeignKey("product.id"), nullable=False)
    attempts = db.Column(db.Integer, nullable=False, default=1, server_default="1")
    taken_by = db.Column(db.String(100), nullable=False)  # release that answered
