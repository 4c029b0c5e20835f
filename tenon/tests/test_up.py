"""`tenon up`: which components it runs over, and what it says of those it cannot run over."""

import argparse
import socket
from pathlib import Path

import pytest

from tenon import components
from tenon.__main__ import main
from tenon.home import Home
from tenon.output import CommandError

ROOT = Path(__file__).parent.parent.parent
KAFKA = "kafka://ingest:secret@127.0.0.1:{port}"


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    components.arguments(parser)
    return parser.parse_args(words)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TENON_STORE_URL", "TENON_BROKER_URL", "TENON_S3_URL", "TENON_WORKFLOWS", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--broker-url", "amqp://host"), "--broker-url 'amqp': is not offered; give sql, or kafka:"),
        (("--broker-url", "https+kafkarest://host"), "it takes jobs and gives none out"),
        (("--broker-url", "kafka://user:secret@host"), "names no host and port"),
        (("--broker-url", "kafka://user:secret@a:1,b"), "names no host and port"),
        (("--workflows", "airflow"), "give local or kubernetes"),
        (("--workflows", "kubernetes"), "KUBECONFIG names no file"),
        (("--store-url", "mysql://user:secret@host/store"), "--store-url 'mysql': is not offered"),
        (("--s3-url", "host:9000"), "is no http:// or https:// address"),
    ],
)
def test_what_is_not_offered_is_refused_at_once_and_no_password_is_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert main(["up", "--root", str(ROOT), "--home", str(tmp_path / "up"), *words]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "secret" not in said
    assert not (tmp_path / "up").exists()


def test_a_broker_that_does_not_answer_is_a_missing_component(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    words = ["--home", str(tmp_path / "up"), "--broker-url", KAFKA.format(port=free_port)]
    assert main(["up", "--root", str(ROOT), *words]) == 3
    said = capsys.readouterr().err
    assert f"broker 127.0.0.1:{free_port}: nothing answers there" in said
    assert "secret" not in said


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_one_broker_that_answers_is_enough(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("app.broker.kafka.administration.ensure_topics", made.append)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"kafka://u:p@127.0.0.1:{free_port},127.0.0.1:{server.getsockname()[1]}"
        components.expect_a_broker(options("--broker-url", url))
    assert made == [url]
    with pytest.raises(CommandError):
        components.expect_a_broker(options("--broker-url", url))


def test_flags_win_over_the_variables_of_their_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENON_STORE_URL", "postgresql://u@host/a")
    monkeypatch.setenv("TENON_BROKER_URL", "kafka://host:1")
    home = Home(tmp_path)
    told = components.environment(options(), home)
    assert (told["TENON_STORE_URL"], told["TENON_BROKER_URL"]) == ("postgresql+psycopg://u@host/a", "kafka://host:1")
    told = components.environment(options("--store-url", "sqlite:////b", "--broker-url", "sql"), home)
    assert (told["TENON_STORE_URL"], told["TENON_BROKER_URL"]) == ("sqlite:////b", "sql")


def test_workflows_of_a_cluster_need_its_access_file_and_no_controller_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    access = tmp_path / "kubeconfig"
    access.touch()
    monkeypatch.setenv("KUBECONFIG", str(access))
    chosen = options("--workflows", "kubernetes")
    components.refuse_what_is_not_offered(chosen)
    assert "workflows" not in components.services(chosen)
    assert components.services(options()) == ("ingest", "watcher", "dispatcher", "workflows", "webhooks")
    assert components.environment(chosen, Home(tmp_path))["KUBECONFIG"] == str(access)


def test_the_webhook_key_is_drawn_once_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.draw_webhook_key()
    first = home.webhook_key.read_text()
    home.draw_webhook_key()
    assert home.webhook_key.read_text() == first
    assert len(bytes.fromhex(first.strip())) == 32
    assert home.webhook_key.stat().st_mode & 0o077 == 0
