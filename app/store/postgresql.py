"""PostgreSQL as the store: a bounded pool, bounded waiting, and the revision that `python -m app migrate` left."""

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL

from app.store import schema

REMEDY = "see whether the server runs, is reachable, has space and lets this user in"
SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}  # of a transaction that only reads
CONNECTIONS, MORE_CONNECTIONS = 5, 11  # kept, and opened beside them under load
STATEMENT_SECONDS, IDLE_SECONDS = 30, 60


def engine(url: URL, *, busy_seconds: float) -> Engine:
    """Connections are tried before they are used: a server that was restarted costs no request."""
    milliseconds = {
        "statement_timeout": STATEMENT_SECONDS * 1000,
        "lock_timeout": int(busy_seconds * 1000),
        "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
    }
    return create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "tcp_user_timeout": 15_000,  # milliseconds until a silent peer counts as gone
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "application_name": "tenon",
            "options": " ".join(f"-c {name}={value}" for name, value in milliseconds.items()),
        },
    )


def expect_migrated(engine: Engine) -> None:
    """Raises WrongRevision when our statements would not fit the tables."""
    with engine.connect() as connection, connection.begin():
        schema.expect(schema.revision(connection))
