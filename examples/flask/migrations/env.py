"""Run by Alembic for every command; the application says which database."""
from alembic import context
from flask import current_app

migrate = current_app.extensions["migrate"]


def options():
    return {"target_metadata": migrate.db.metadata, "compare_type": True, **migrate.configure_args}


if context.is_offline_mode():
    context.configure(
        url=migrate.db.engine.url.render_as_string(hide_password=False),
        literal_binds=True, dialect_opts={"paramstyle": "named"}, **options())
    with context.begin_transaction():
        context.run_migrations()
else:
    with migrate.db.engine.connect() as connection:
        context.configure(connection=connection, **options())
        with context.begin_transaction():
            context.run_migrations()
