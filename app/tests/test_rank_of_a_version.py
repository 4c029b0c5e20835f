"""A server reserves memory for the rank of its adapters, so a record says where a job chose another than its recipe."""

from datetime import UTC, datetime

import pytest

from app.contract.models import ModelVersion, Stage
from app.promoter import with_versions


@pytest.mark.parametrize("rank", [None, 64])
def test_a_record_names_a_versions_rank_where_the_job_chose_one(rank: int | None) -> None:
    version = ModelVersion(
        version="replies-job1",
        stage=Stage.CANDIDATE,
        adapter_digest="a" * 64,
        dataset_fingerprint="b" * 64,
        metrics={},
        job="job1",
        rank=rank,
        trained_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert ("rank: 64" in with_versions("base: b\n", [version])) is (rank is not None)
    assert "null" not in with_versions("base: b\n", [version])
