"""Which revision of the tables a store has, whether it serves us, and the way to ours.

A revision is `<series>_<number>`. Within a series tables only grow by what older services need not know, so that during
a rolling update a service goes on over any later revision of its own series. A change that an older service would break
begins a new series, and the services of the old one are stopped first.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select, text

from app.store.dialects import POSTGRESQL
from app.store.tables import metadata

REVISION = "1_02"  # the newest of migrations/versions
NEWEST, NOTHING = "head", "base"
_MIGRATE = "run `python -m app migrate`"
_LOCK = "tenon migrations"

_versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class WrongRevision(Exception):  # noqa: N818 - the name is the fact
    """The tables are not those that this version works with."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def revision(connection: Connection) -> str | None:
    """None: no migration has been made."""
    if not inspect(connection).has_table(_versions.name):
        return None
    return connection.execute(select(_versions.c.version_num)).scalar()


def expect(found: str | None) -> None:
    """Raises WrongRevision where a service of ours cannot work over this revision."""
    if found is None:
        raise WrongRevision("has no tables", remedy=_MIGRATE)
    (series, number), (our_series, our_number) = _parts(found), _parts(REVISION)
    if (series, number) < (our_series, our_number):
        raise WrongRevision(f"has revision {found}, this version needs {REVISION}", remedy=_MIGRATE)
    if series > our_series:
        remedy = "start the version that migrated it, or restore a copy made before"
        raise WrongRevision(f"has revision {found}, too new for this version, which knows {REVISION}", remedy=remedy)


def prepare(connection: Connection) -> None:
    """Make all tables in an empty store, or migrate one; a later revision stays. Raises WrongRevision."""
    found = revision(connection)
    if found is None and not inspect(connection).get_table_names():
        # what the migrations make, as a test shows, without the time that alembic takes to be imported
        metadata.create_all(connection, checkfirst=False)
        _versions.create(connection)
        connection.execute(_versions.insert().values(version_num=REVISION))
        return
    if found is None or _parts(found) < _parts(REVISION):
        migrate(connection)
    expect(revision(connection))


def migrate(connection: Connection, *, to: str = NEWEST) -> None:
    """Run the migrations to the newest revision, or back to an empty store, one process at a time.

    All in the transaction of the connection. Raises WrongRevision for tables that no migration of ours made, and for
    a store of a newer series.
    """
    if connection.dialect.name == POSTGRESQL:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
    found = revision(connection)
    if found is None and not metadata.tables.keys().isdisjoint(inspect(connection).get_table_names()):
        raise WrongRevision("has tables of no known revision", remedy="name an empty store, or move these tables away")
    if found is not None and _parts(found) > _parts(REVISION):
        expect(found)
        return  # a later revision of our series
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    if to == NOTHING:
        command.downgrade(config, to)
    else:
        command.upgrade(config, to)


def _parts(revision: str) -> tuple[int, int]:
    series, _, number = revision.partition("_")
    return int(series), int(number)
