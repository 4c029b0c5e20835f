"""PostgreSQL shows a transaction that serves a tenant no other tenant's rows, whatever its statements ask for.

The tables' owner serves everybody where no tenant is set; the roles of app/store/roles.py see all or nothing then. The
audit is not among them: it is one chain, of which those who append read the last link.
"""

from alembic import op

revision, down_revision = "1_02", "1_01"

TABLES = (
    "jobs",
    "attempts",
    "events",
    "files",
    "checkpoints",
    "ledger",
    "deliveries",
    "endpoints",
    "webhook_keys",
)
# the setting is NULL before its first use in a connection, and empty after the transaction that set it
_TENANT = "nullif(current_setting('tenon.tenant', true), '')"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")  # for the owner too
        op.execute(f"CREATE POLICY own_tenant ON {table} USING (tenant = {_TENANT})")
        op.execute(f"CREATE POLICY no_tenant ON {table} TO CURRENT_USER USING ({_TENANT} IS NULL)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TABLES:
        op.execute(f"DROP POLICY no_tenant ON {table}")
        op.execute(f"DROP POLICY own_tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
