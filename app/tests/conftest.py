"""Fixtures that more than one test file of the services uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.store.engine import open_store
from app.tests.local import JobPath


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A new store."""
    made = open_store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.dispose()


@pytest.fixture
def job_path(tmp_path: Path) -> Iterator[JobPath]:
    """A new home with all parts of the job path."""
    made = JobPath(tmp_path / "home")
    yield made
    made.engine.dispose()
