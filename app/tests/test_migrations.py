"""The revisions of the store: the migrations make what the code works with, there and back, once for all who start."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.store import migrations, schema
from app.store.engine import StoreUnavailable, connect, migrate_store, open_store, writing
from app.store.tables import metadata
from app.tests.postgres import PostgresServer

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)]


@pytest.fixture(params=BACKENDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.make_database()


def differences(url: str) -> list[object]:
    """What alembic itself finds between the tables of a store and those of the code."""
    engine = connect(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, metadata)
    engine.dispose()
    return list(found)


def tables(url: str) -> set[str]:
    engine = connect(url)
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


def revise(url: str, revision: str) -> None:
    """Let a store say that another version migrated it."""
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
    engine.dispose()


def test_the_migrations_make_the_tables_there_and_back_and_there_again(empty: str) -> None:
    for _ in range(2):
        assert migrate_store(empty) == schema.REVISION
        assert differences(empty) == []
        assert migrate_store(empty) == schema.REVISION  # once more changes nothing
        assert migrate_store(empty, to=schema.NOTHING) is None
        assert tables(empty) == {"alembic_version"}


def test_the_code_names_the_newest_of_the_migrations() -> None:
    folder = str(Path(next(iter(migrations.__path__))))
    script = ScriptDirectory.from_config(Config(config_args={"script_location": folder, "path_separator": "os"}))
    assert script.get_heads() == [schema.REVISION]


def test_a_new_file_of_sqlite_has_what_the_migrations_make(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    open_store(url).dispose()
    assert differences(url) == []
    assert migrate_store(url) == schema.REVISION


def test_many_who_start_at_once_make_the_tables_once(empty: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: migrate_store(empty), range(8))) == {schema.REVISION}
    open_store(empty).dispose()


@pytest.fixture
def migrated(empty: str) -> str:
    migrate_store(empty)
    return empty


def test_a_later_revision_of_the_series_stops_no_rolling_update(migrated: str) -> None:
    revise(migrated, "1_99")
    open_store(migrated).dispose()
    assert migrate_store(migrated) == "1_99"


def test_a_later_series_is_not_worked_over(migrated: str) -> None:
    revise(migrated, "2_01")
    for use in (open_store, migrate_store):
        with pytest.raises(StoreUnavailable, match="revision 2_01, too new for this version"):
            use(migrated)


@pytest.mark.services
def test_a_service_migrates_no_postgresql_by_itself(postgres_server: PostgresServer) -> None:
    url = postgres_server.make_database()
    with pytest.raises(StoreUnavailable, match="has no tables; run `python -m app migrate`"):
        open_store(url)
    migrate_store(url)
    revise(url, "1_01")
    with pytest.raises(StoreUnavailable, match=r"has revision 1_01, this version needs .*; run "):
        open_store(url)


def test_tables_that_are_not_ours_are_left_alone(empty: str) -> None:
    engine = connect(empty)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE jobs (id integer)"))
    engine.dispose()
    with pytest.raises(StoreUnavailable, match="tables of no known revision; name an empty store"):
        migrate_store(empty)
    assert tables(empty) == {"jobs"}


def test_a_new_store_is_made_without_alembic(tmp_path: Path) -> None:
    program = (
        "import sys; from app.store.engine import open_store; open_store(sys.argv[1]); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/store.db"], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"
