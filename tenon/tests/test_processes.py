"""Children of `tenon up`: waited for by condition, stopped in order, never left behind."""

import sys
from pathlib import Path

import pytest

from tenon.output import CommandError, ExitCode
from tenon.processes import Child, bare_environment, free_ports, is_listening, stop, wait_until

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
NOTES_ITS_END = (
    "import signal, sys, time\n"
    "def end(*_):\n    open(sys.argv[1], 'a').write(sys.argv[2]); sys.exit()\n"
    "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
)


def child(folder: Path, name: str, *words: str, stop_seconds: float = 10.0) -> Child:
    made = Child(name, [sys.executable, "-c", *words], bare_environment(), folder / f"{name}.log", stop_seconds)
    made.start()
    return made


def is_up(made: Child) -> bool:
    return "up" in made.last_lines()


def test_children_stop_one_after_the_other_the_last_started_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    children = [child(tmp_path, name, NOTES_ITS_END, str(order), name) for name in "abc"]
    for made in children:
        wait_until(lambda made=made: is_up(made), child=made, seconds=20)  # type: ignore[misc]
    stop(children)
    assert order.read_text() == "cba"


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    made = child(tmp_path, "stubborn", STUBBORN, stop_seconds=0.2)
    wait_until(lambda: is_up(made), child=made, seconds=20)
    stop([made])
    assert not made.is_alive


def test_a_child_that_dies_at_its_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    made = child(tmp_path, "broken", "raise SystemExit('no such thing')")
    with pytest.raises(CommandError, match=r"broken: ended; the end of .*\nno such thing") as error:
        wait_until(lambda: False, child=made, seconds=20)
    assert error.value.code is ExitCode.UNAVAILABLE


def test_free_ports_differ_and_nothing_listens_on_them() -> None:
    ports = free_ports(20, below=55536)
    assert len(set(ports)) == 20
    assert not [port for port in ports if is_listening(port) or port >= 55536]


def test_a_child_inherits_nothing_that_could_configure_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "someone else's")
    monkeypatch.setenv("TENON_STORE_URL", "sqlite:///elsewhere.db")
    assert not {"AWS_SECRET_ACCESS_KEY", "TENON_STORE_URL"} & bare_environment().keys()
