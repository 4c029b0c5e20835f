"""Fixtures that more than one test file of the services uses."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from app.store.engine import migrate_store, open_store
from app.tests import postgres as real
from app.tests.local import JobPath

if TYPE_CHECKING:
    from app.tests.cluster import RealCluster
    from app.tests.kafka import KafkaServer


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A new store."""
    made = open_store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def any_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A new store on each database."""
    is_file = request.param == "sqlite"
    made = open_store(f"sqlite:///{tmp_path}/store.db" if is_file else request.getfixturevalue("postgres"))
    yield made
    made.dispose()


@pytest.fixture
def job_path(tmp_path: Path) -> Iterator[JobPath]:
    """A new home with all parts of the job path."""
    made = JobPath(tmp_path / "home")
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def postgres_server(absent: Callable[[str], None]) -> Iterator[real.PostgresServer]:
    """A real PostgreSQL; its folder is outside pytest's, which no other user may enter."""
    if (programs := real.programs()) is None:
        absent(real.REMEDY)
        return
    with TemporaryDirectory(prefix="tenon-postgresql-") as folder:
        server = real.PostgresServer(Path(folder), programs)
        migrate_store(server.make_database(real.TEMPLATE))
        yield server
        server.close()


@pytest.fixture
def postgres(postgres_server: real.PostgresServer) -> str:
    """The URL of an empty store in the real PostgreSQL, as its owner."""
    return postgres_server.emptied()


@pytest.fixture(scope="session")
def real_cluster(absent: Callable[[str], None]) -> Iterator["RealCluster"]:
    """A kube-apiserver with the rendered rights (tier test-apiserver)."""
    from controlplane.binaries import MissingToolError

    from app.tests.cluster import real_cluster as started

    try:
        with started() as made:
            yield made
    except MissingToolError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def kafka(absent: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator["KafkaServer"]:
    """A real Apache Kafka with accounts (tier test-services)."""
    from controlplane.binaries import MissingToolError

    from app.tests.kafka import KafkaServer

    try:
        server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    except MissingToolError as error:
        absent(str(error))
        return
    yield server
    server.close()
