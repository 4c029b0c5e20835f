"""Whether the store answers."""

from sqlalchemy import Engine, literal, select

from app.store.engine import reading


def ask(engine: Engine) -> None:
    """Raises StoreUnavailable."""
    with reading(engine) as connection:
        connection.execute(select(literal(1))).scalar_one()
