"""Services that run on and on: memory flat, descriptors given back, no job slower than the first ones."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.store.engine import open_store
from app.tests.storm import SERVICES, Components, Storm, tenants

BATCH = 20  # jobs, after whose end the next ones are sent
PAGE_KIB = 4
GROWTH = 1.1  # between the second and the last third of the samples
SLACK_KIB = 6 << 10  # what an allocator keeps of its own accord
SLACK_DESCRIPTORS = 4


@dataclass(frozen=True)
class Sample:
    """After a batch: seconds it took, and of each service its memory in KiB and its open descriptors."""

    seconds: float
    memory: tuple[int, ...]
    descriptors: tuple[int, ...]


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    home = tmp_path / "home"
    home.mkdir()
    made = Storm(home, Components(f"sqlite:///{home}/store.db"), tenants=tenants(5))
    made.start()
    yield made
    made.end()


def sampled(storm: Storm, *, seconds: float) -> list[Sample]:
    """Batches, one after the other, for that long; at the least nine."""
    engine, samples = open_store(storm.components.store_url), list[Sample]()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(samples) < 9:
        began, sent = time.monotonic(), len(storm.answers)
        storm.submit([str(number) for number in range(sent, sent + BATCH)])
        storm.wait_for(engine, ended=len(storm.answers))
        folders = [Path(f"/proc/{process.pid}") for process in storm.running]
        memory = tuple(int((folder / "statm").read_text().split()[1]) * PAGE_KIB for folder in folders)
        descriptors = tuple(len(list((folder / "fd").iterdir())) for folder in folders)
        samples.append(Sample(time.monotonic() - began, memory, descriptors))
    engine.dispose()
    return samples


@pytest.mark.parametrize(
    "seconds", [pytest.param(30, marks=pytest.mark.services), pytest.param(3600, marks=pytest.mark.long)]
)
def test_services_that_run_on_grow_neither_in_memory_nor_in_descriptors_nor_in_delay(
    storm: Storm, seconds: float
) -> None:
    samples = sampled(storm, seconds=seconds)
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[-third:]
    for place, name in enumerate(SERVICES):
        before, after = (statistics.median(one.memory[place] for one in part) for part in (middle, last))
        assert after <= before * GROWTH + SLACK_KIB, f"{name}: from {before} to {after} KiB"
        before, after = (max(one.descriptors[place] for one in part) for part in (middle, last))
        assert after <= before + SLACK_DESCRIPTORS, f"{name}: from {before} to {after} descriptors"
    before, after = (statistics.median(one.seconds for one in part) for part in (middle, last))
    assert after <= 3 * before + 1, f"a batch took {before:.1f} s in the middle and {after:.1f} s at the end"
