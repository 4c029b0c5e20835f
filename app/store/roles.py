"""PostgreSQL: one role per service, with the least it needs, for logins that are made members of it.

Ingest sees the rows of the tenant it serves and nothing without one; our other processes act for no caller and see all.
The owner of the tables makes the roles; it must be allowed to (CREATEROLE).
"""

from collections.abc import Mapping

from sqlalchemy import Connection, text

READ, APPEND, CHANGE = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
ANYTHING = "SELECT, INSERT, UPDATE, DELETE"
INGEST = "tenon_ingest"
OF_TENANTS = frozenset(  # tables with row security
    {"jobs", "attempts", "events", "files", "checkpoints", "ledger", "deliveries", "endpoints", "webhook_keys"}
)
GRANTS: Mapping[str, Mapping[str, str]] = {
    INGEST: {
        "jobs": CHANGE,
        "attempts": READ,
        "events": APPEND,
        "files": ANYTHING,
        "checkpoints": READ,
        "ledger": READ,
        "deliveries": CHANGE,
        "endpoints": ANYTHING,
        "webhook_keys": ANYTHING,
        "messages": APPEND,
        # of the audit, the last link of the chain, and no other tenant's entry
        "audit": "SELECT (id, digest), INSERT",
    },
    "tenon_dispatcher": {
        "jobs": CHANGE,
        "attempts": CHANGE,
        "events": APPEND,
        "ledger": READ,
        "deliveries": APPEND,
        "messages": ANYTHING,
        "dead_letters": CHANGE,
    },
    "tenon_watcher": {
        "jobs": "SELECT, UPDATE",
        "attempts": "SELECT, UPDATE",
        "events": APPEND,
        "checkpoints": ANYTHING,
        "ledger": CHANGE,
        "deliveries": APPEND,
        "messages": READ,  # figures of the queue
        "dead_letters": READ,
    },
    "tenon_webhooks": {
        "jobs": READ,
        "deliveries": "SELECT, UPDATE",
        "endpoints": ANYTHING,
        "webhook_keys": ANYTHING,
    },
    "tenon_promoter": {"jobs": READ, "events": READ},
}


def make_roles(connection: Connection) -> None:
    """Make the roles that are missing, and let each have what is written here and nothing else."""
    for role, grants in GRANTS.items():
        if connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first() is None:
            connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
        connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {role}"))
        connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"))
        connection.execute(text(f"GRANT SELECT ON alembic_version TO {role}"))
        for table, rights in grants.items():
            connection.execute(text(f"GRANT {rights} ON {table} TO {role}"))
            if role != INGEST and table in OF_TENANTS:
                connection.execute(text(f"DROP POLICY IF EXISTS {role} ON {table}"))
                connection.execute(text(f"CREATE POLICY {role} ON {table} TO {role} USING (true)"))
