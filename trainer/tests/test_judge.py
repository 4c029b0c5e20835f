"""The judge of answers: asked in both orders, heard by an OpenAI-compatible endpoint, and never missed."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from trainer.contract.checks import Judge
from trainer.evaluation import judge as module
from trainer.evaluation.judge import JudgeSilent, Pair, preference

Ask = Callable[[str, str], str]  # the answers at A and B -> what the judge says
PAIRS = [Pair("q", f"bad {number}", f"good answer {number}") for number in range(4)]


class Endpoint:
    """A judge on this machine. says: given both answers in the order of the request."""

    def __init__(self) -> None:
        self.says: Ask = lambda *_: "tie"
        self.status = 200
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, self.headers["Authorization"], body))
                asked = body["messages"][1]["content"]
                one, other = asked.split("[Answer A]\n")[1].split("\n\n[Verdict]")[0].split("\n\n[Answer B]\n")
                reply = {"choices": [{"message": {"role": "assistant", "content": endpoint.says(one, other)}}]}
                self.send_response(endpoint.status)
                self.end_headers()
                self.wfile.write(json.dumps(reply).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.judge = Judge(url=f"http://127.0.0.1:{self.server.server_port}/v1", model="local")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def _asked(endpoint: Endpoint, *, key: Path | None = None) -> Any:
    return preference(endpoint.judge, PAIRS, key=key, asked=lambda: None)


def _prefers_good(one: str, other: str) -> str:
    return "A" if "good" in one and "good" not in other else "B" if "good" in other else "tie"


def test_a_preference_that_survives_the_swap_counts(endpoint: Endpoint) -> None:
    endpoint.says = _prefers_good
    found = _asked(endpoint)
    assert (found.wins, found.ties, found.losses) == (4, 0, 0)
    assert found.win_rate.value == 1.0
    assert 0.4 < found.win_rate.low < 0.6  # four pairs say little
    assert found.length_difference == 8.0


@pytest.mark.parametrize("place", ["A", "The first one, A, is better.", "b"])
def test_a_judge_that_favours_a_place_says_nothing(endpoint: Endpoint, place: str) -> None:
    endpoint.says = lambda *_: place
    found = _asked(endpoint)
    assert (found.wins, found.ties, found.losses, found.win_rate.value) == (0, 4, 0, 0.5)


def test_a_judge_is_asked_as_openais_clients_ask(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    _asked(endpoint, key=tmp_path / "key")
    path, authorization, body = endpoint.requests[0]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer s3cret")
    assert (body["model"], body["temperature"]) == ("local", 0)
    assert len(endpoint.requests) == 8


@pytest.mark.parametrize("words", ["I like them both", "A or B", "a good one", ""])
def test_a_judge_in_other_words_is_silent(endpoint: Endpoint, words: str) -> None:
    endpoint.says = lambda *_: words
    with pytest.raises(JudgeSilent, match=rf"answered '{words}', not A, B or tie"):
        _asked(endpoint)


def test_a_failing_or_absent_judge_is_silent(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.status = 500
    with pytest.raises(JudgeSilent, match=r"does not answer \(HTTP Error 500"):
        _asked(endpoint)
    with pytest.raises(JudgeSilent, match="does not answer"):
        preference(Judge(url="http://127.0.0.1:9/v1", model="m"), PAIRS, key=None, asked=lambda: None)
    with pytest.raises(JudgeSilent, match="does not answer"):
        _asked(endpoint, key=tmp_path / "absent")


def test_a_judge_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # accepts and never reads
    judge = Judge(url=f"http://127.0.0.1:{server.server_port}", model="m")
    with pytest.raises(JudgeSilent, match="timed out"):
        preference(judge, PAIRS, key=None, asked=lambda: None)
    server.server_close()
