from collections.abc import Iterator
from threading import Event

import pytest

from trainer.durability.uploads import Uploads
from trainer.outcomes import BadInput, Unavailable


class Store:
    """A bucket whose gate can be shut, and that fails as often as it is told."""

    def __init__(self, *, failures: int = 0, refuses: bool = False) -> None:
        self.arrived: list[str] = []
        self.tried: list[str] = []
        self.entered, self.gate = Event(), Event()
        self._failures, self._refuses = failures, refuses

    def push(self, name: str) -> None:
        self.tried.append(name)
        self.entered.set()
        assert self.gate.wait(30), "nobody opens the gate"
        if self._refuses:
            raise BadInput("use the tenant's own bucket")
        if self._failures:
            self._failures -= 1
            raise Unavailable("the object store answered 500")
        self.arrived.append(name)


@pytest.fixture
def shut() -> Iterator[Store]:
    store = Store()
    yield store
    store.gate.set()


def test_nobody_waits_for_an_upload_and_of_those_that_wait_the_newest_alone_is_made(shut: Store) -> None:
    uploads = Uploads(shut.push)
    uploads.offer("one")
    assert shut.entered.wait(30)
    for name in ("two", "three", "four"):
        uploads.offer(name)
    assert uploads.pending == {"one", "four"}
    shut.gate.set()
    uploads.finish()

    assert shut.arrived == ["one", "four"]
    assert uploads.pending == frozenset()


def test_an_upload_that_fails_is_tried_again() -> None:
    store = Store(failures=2)
    store.gate.set()
    uploads = Uploads(store.push, pauses=(0, 0))
    uploads.offer("one")
    uploads.finish()

    assert (store.tried, store.arrived) == (["one"] * 3, ["one"])


def test_a_newer_one_takes_the_place_of_one_that_fails() -> None:
    store = Store(failures=1)
    uploads = Uploads(store.push, pauses=(30, 30))
    uploads.offer("one")
    assert store.entered.wait(30)
    uploads.offer("two")
    store.gate.set()
    uploads.finish()

    assert (store.tried, store.arrived) == (["one", "two"], ["two"])


def test_nothing_goes_before_an_older_one_that_is_needed() -> None:
    store = Store(failures=1)
    uploads = Uploads(store.push, pauses=())
    uploads.offer("1")
    assert store.entered.wait(30)
    uploads.offer("2", also=["1"])
    store.gate.set()
    with uploads._changed:
        assert uploads._changed.wait_for(lambda: uploads._lost is not None, timeout=30)
    uploads.offer("3", also=["1"])
    uploads.finish()

    assert store.arrived == ["1", "3"]


def test_the_end_gives_an_upload_that_was_given_up_one_more_chance() -> None:
    store = Store(failures=1)
    store.gate.set()
    uploads = Uploads(store.push, pauses=())
    uploads.offer("one")
    with uploads._changed:
        assert uploads._changed.wait_for(lambda: uploads._lost is not None, timeout=30)
    uploads.finish()

    assert store.arrived == ["one"]


def test_an_upload_that_never_arrives_is_an_error_at_the_end() -> None:
    store = Store(failures=99)
    store.gate.set()
    uploads = Uploads(store.push, pauses=())
    uploads.offer("one")

    with pytest.raises(Unavailable, match="answered 500"):
        uploads.finish()


def test_an_upload_that_hangs_is_an_error_at_the_end(shut: Store) -> None:
    uploads = Uploads(shut.push)
    uploads.offer("one")

    with pytest.raises(Unavailable, match="one: was not in the bucket after 0 s"):
        uploads.finish(within=0.01)


def test_a_bucket_that_refuses_ends_the_training_at_its_next_checkpoint() -> None:
    store = Store(refuses=True)
    store.gate.set()
    uploads = Uploads(store.push, pauses=())
    uploads.offer("one")
    with pytest.raises(BadInput, match="own bucket"):
        uploads.finish()

    with pytest.raises(BadInput, match="own bucket"):
        uploads.offer("two")


def test_a_training_without_a_bucket_has_nothing_to_wait_for() -> None:
    Uploads(Store().push).finish()
