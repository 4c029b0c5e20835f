import io
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trainer.contract import steps
from trainer.outcomes import BadInput
from trainer.settings import Settings
from trainer.sinks import Line, Sinks, StatusSink
from trainer.sinks.detached import Detached
from trainer.sinks.making import opened, wanted
from trainer.sinks.prometheus import Address, PrometheusSink
from trainer.tests.conftest import MakeSettings

LABELS = {"tenant": "acme", "job": "j1", "version": "replies-j1"}
LINE = {"step": 3, "loss": 1.5, "evalLoss": 1.0, "learningRate": 2e-4, "gradNorm": None, "tokens": 900, "skipped": 1}


class Told(Sinks):
    """Remembers; fails or blocks when told to."""

    def __init__(self, *, fails: bool = False, until: threading.Event | None = None) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.is_closed = False
        self._fails, self._until = fails, until

    def record(self, line: Line) -> None:
        if self._until is not None:
            self._until.wait(30)
        self.lines.append(line)
        if self._fails:
            raise ValueError("no")

    def close(self) -> None:
        self.is_closed = True


def soon(seconds: float = 20) -> float:
    return time.monotonic() + seconds


def test_a_detached_sink_is_told_everything_in_order_before_it_closes() -> None:
    told = Told()
    detached = Detached("chart", lambda: told)
    for step in range(100):
        detached.record({"step": step})

    assert detached.close(until=soon())
    assert [line["step"] for line in told.lines] == list(range(100))
    assert told.is_closed


def test_a_sink_that_raises_is_named_once_and_told_on(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(fails=True)
    detached = Detached("chart", lambda: told)
    for step in range(5):
        detached.record({"step": step})
    detached.close(until=soon())

    assert (len(told.lines), detached.failures) == (5, 5)
    assert caplog.text.count("chart: ValueError: no") == 1


def test_a_sink_that_cannot_be_opened_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Told:
        raise OSError(98, "Address already in use")

    detached = Detached("prometheus", refuse)
    detached.record(LINE)

    assert detached.close(until=soon())
    assert "prometheus: OSError" in caplog.text


@pytest.mark.requirement("E81")
def test_a_sink_that_hangs_delays_neither_a_step_nor_the_end(caplog: pytest.LogCaptureFixture) -> None:
    released = threading.Event()
    told = Told(until=released)
    detached = Detached("chart", lambda: told, most_waiting=3)
    for step in range(1000):
        detached.record({"step": step})

    assert not detached.close(until=time.monotonic())
    assert "does not take its last numbers in time" in caplog.text
    released.set()
    assert detached.close(until=soon())
    assert [line["step"] for line in told.lines][-3:] == [997, 998, 999]  # the oldest went


def served(port: int | None) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.fixture
def prometheus() -> Iterator[PrometheusSink]:
    sink = PrometheusSink(LABELS, address=Address("127.0.0.1", 0), gateway=None)
    yield sink
    sink.close()


@pytest.mark.requirement("E81")
def test_a_scrape_shows_the_newest_numbers_under_their_version(prometheus: PrometheusSink) -> None:
    labels = 'job="j1",tenant="acme",version="replies-j1"'
    prometheus.record({"step": 2, "loss": 9.0, "stepSeconds": 0.3})
    prometheus.record({**LINE, "stepSeconds": 3.0})
    prometheus.record({"gpuSeconds": 12.5, "cpuSeconds": 3})
    prometheus.record({"bleu": 21.5})
    text = served(prometheus.port)

    def value(name: str, more: str = "") -> str:
        inside = ",".join(sorted([*labels.split(","), *([more] if more else [])]))
        lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
        return next(
            line.split()[-1]
            for line in lines
            if sorted(line[len(name) + 1 : -1].split("}")[0].split(",")) == inside.split(",")
        )

    assert value("tenon_training_loss") == "1.5"
    assert value("tenon_training_held_out_perplexity").startswith("2.718")
    assert value("tenon_training_tokens_total") == "900.0"
    assert value("ft_gpu_seconds_total") == "12.5"
    assert value("tenon_training_step_seconds_count") == "2.0"
    assert value("tenon_training_step_seconds_bucket", 'le="0.5"') == "1.0"
    assert value("tenon_evaluation_score", 'score="bleu"') == "21.5"
    assert "gradient_norm" not in text  # never measured, so not there


@pytest.mark.parametrize(
    ("text", "address"),
    [("9464", Address("0.0.0.0", 9464)), ("127.0.0.1:0", Address("127.0.0.1", 0))],  # noqa: S104
)
def test_an_address_is_a_port_of_a_pod_or_of_one_interface(text: str, address: Address) -> None:
    assert Address.parsed(text, name="P") == address


@pytest.fixture
def gateway() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server that takes pushes, and what it took: method, path, body."""
    taken: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            taken.append((self.command, self.path, body))
            self.send_response(200)
            self.end_headers()

        do_PUT = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()


@pytest.mark.requirement("E81")
def test_the_last_numbers_of_a_pod_outlive_it_at_the_gateway(
    make_settings: MakeSettings, gateway: tuple[str, list[tuple[str, str, str]]]
) -> None:
    url, taken = gateway
    with opened(make_settings(), {steps.PUSHGATEWAY_URL: url}, None) as sink:
        sink.record({"step": 1, "loss": 2.0})
        sink.record({"step": 2, "loss": 1.25})

    method, path, body = taken[-1]
    assert method == "POST"  # joins what the job's other steps pushed; PUT would replace it
    assert path == "/metrics/job/local/tenant/local/version/model-local"
    assert "1.25" in next(line for line in body.splitlines() if line.startswith("tenon_training_loss{"))


def test_dead_servers_and_a_taken_port_harm_nothing(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {
            steps.METRICS_PORT: f"127.0.0.1:{taken.getsockname()[1]}",
            steps.PUSHGATEWAY_URL: "http://127.0.0.1:9",
        }
        with opened(make_settings(), environment, None) as sink:
            sink.begin("train")
            sink.record(LINE)
            sink.finish({})

    assert "prometheus: OSError" in caplog.text


def test_a_watcher_that_never_answers_delays_no_step(make_settings: MakeSettings, tmp_path: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/status"
        made = make_settings()
        told = Settings(job=made.job, attempt_url=made.attempt_url, work=made.work, status_url=url)
        (detached,) = [Detached(name, make) for name, make in wanted(told, {})]
        for step in range(100):
            detached.begin("train")
            detached.progress(step, 100, {})

        assert not detached.close(until=time.monotonic())  # all is told, and it still waits for its first answer


def test_the_watcher_learns_what_an_attempt_has_used_before_it_ends(
    gateway: tuple[str, list[tuple[str, str, str]]],
) -> None:
    url, taken = gateway
    sink = StatusSink(f"{url}/status", None)
    sink.record({"cpuSeconds": 4.5, "gpuSeconds": 2.25, "co2Grams": 1})
    sink.progress(1, 2, {"loss": "1.000"})

    (body,) = [json.loads(body) for _, _, body in taken]
    told = {metric["name"]: metric["value"] for metric in body["trainerStatus"]["metrics"]}
    assert told == {"cpuSeconds": "4.5", "gpuSeconds": "2.25", "phase": "", "loss": "1.000"}


BAD = {
    "unknown tracker": ({steps.TRACKERS: "wandb,comet"}, "TENON_TRACKERS: 'comet' is no tracker; use some of wandb"),
    "mlflow nowhere": ({steps.TRACKERS: "mlflow"}, "mlflow needs MLFLOW_TRACKING_URI; set it"),
    "no port": ({steps.METRICS_PORT: "http"}, "TENON_METRICS_PORT: 'http' is no port or host:port; write 9464"),
    "port too high": ({steps.METRICS_PORT: "70000"}, "'70000' is no port"),
}


@pytest.mark.parametrize(("environment", "text"), BAD.values(), ids=BAD)
def test_a_sink_that_cannot_be_meant_is_bad_input(
    make_settings: MakeSettings, environment: dict[str, str], text: str
) -> None:
    with pytest.raises(BadInput, match=text), opened(make_settings(), environment, None):
        pass


def test_an_absent_tracker_names_the_extra(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(BadInput, match="wandb is not installed; install tenon with the extra `trackers`"):
        wanted(make_settings(), {steps.TRACKERS: "wandb"})


def test_tensorboard_gets_the_curve_and_its_file_stays_with_the_attempt(make_settings: MakeSettings) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = make_settings()
    with opened(told, {steps.TRACKERS: "tensorboard"}, None) as sink:
        for step in range(1, 6):
            sink.record({"step": step, "loss": 1 / step})

    (file,) = (Path(told.attempt_url) / "trackers/tensorboard").iterdir()
    events = EventAccumulator(str(file))
    events.Reload()
    assert [(event.step, round(event.value, 3)) for event in events.Scalars("loss")][-1] == (5, 0.2)


def test_steps_that_measure_nothing_open_no_tracker(make_settings: MakeSettings) -> None:
    told = make_settings()
    with opened(told, {steps.TRACKERS: "tensorboard"}, None) as sink:
        sink.begin("prepare")
        sink.record({"cpuSeconds": 1.0})

    assert not (Path(told.attempt_url) / "trackers").exists()


def test_the_bar_shows_the_loss_and_the_speed(make_settings: MakeSettings) -> None:
    console = Console(force_terminal=True, width=100, record=True, file=io.StringIO())
    with opened(make_settings(), {}, console) as sink:
        sink.begin("train")
        sink.progress(3, 8, {"loss": "1.234", "tokensPerSecond": "57"})

    assert "loss 1.234  tokensPerSecond 57" in console.export_text()


def test_without_a_terminal_there_is_no_bar(make_settings: MakeSettings) -> None:
    console = Console(force_terminal=False, width=100, file=io.StringIO(), record=True)
    with opened(make_settings(), {}, console) as sink:
        sink.begin("train")
        sink.progress(3, 8, {"loss": "1.234"})

    assert console.export_text() == ""


def test_a_gateway_that_is_no_url_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(BadInput, match="'ftp://x' is no http:// or https:// URL"):
        wanted(make_settings(), {steps.PUSHGATEWAY_URL: "ftp://x"})


def curve_of(told: Settings, environment: dict[str, str]) -> None:
    """Two runs of one attempt, three steps each."""
    for first in (1, 4):
        with opened(told, environment, None) as sink:
            for step in range(first, first + 3):
                sink.record({"step": step, "loss": 1 / step})


@pytest.mark.model  # starts a service of its own, which a busy machine may hold up
def test_wandb_works_without_a_network(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    told = make_settings()
    curve_of(told, {steps.TRACKERS: "wandb"})

    runs = list((Path(told.attempt_url) / "trackers/wandb").rglob("run-local-1.wandb"))
    assert runs
    assert all(b"loss" in run.read_bytes() for run in runs)


@pytest.mark.model  # MLflow alone takes five processor seconds to import
def test_mlflow_gets_one_run_for_an_attempt(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    curve_of(make_settings(), {steps.TRACKERS: "mlflow", "MLFLOW_TRACKING_URI": str(tmp_path / "mlflow")})

    (loss,) = (tmp_path / "mlflow").rglob("metrics/loss")
    assert [line.split()[2] for line in loss.read_text().splitlines()] == ["1", "2", "3", "4", "5", "6"]
