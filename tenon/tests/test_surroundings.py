"""Bad surroundings: each is one clear message with the remedy, a code that means something, and nothing lost."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FULL_DISK = (  # a file-size limit makes every write fail as a full disk does
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "from tenon.__main__ import main\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    "sys.exit(main(sys.argv[1:]))"
)
FULL_WHILE_RENDERING = "import generators.manifest\n" + FULL_DISK  # Node has unpacked itself before the disk is full
RUN = "import sys; from tenon.__main__ import main; sys.exit(main(sys.argv[1:]))"

CASES = {  # name -> (program, arguments, exit code, what the message says)
    "dead object store": (RUN, ["up", "--s3-url", "http://127.0.0.1:{dead}"], 3, "check TENON_S3_URL"),
    "object store without a scheme": (RUN, ["up", "--s3-url", "bogus"], 2, "is no http:// or https:// address"),
    "port in use": (RUN, ["up", "--port", "{busy}"], 3, "something listens there; stop it, or give another --port"),
    "no port": (RUN, ["up", "--port", "99999"], 2, "'99999' is no port (1-65535)"),
    "damaged ports": (RUN, ["up", "--home", "{damaged}"], 2, "is damaged; remove it"),
    "training into a file": (RUN, ["train", "{spec}", "--out", "{file}"], 2, "give a folder that can be written"),
    "nothing rendered": (RUN, ["up", "--root", "{empty}"], 2, "run `tenon render` first"),
    "home is a file": (RUN, ["up", "--home", "{file}"], 2, "give a --home that can be written"),
    "broker that is not there": (RUN, ["up", "--broker-url", "kafka://127.0.0.1:9"], 3, "nothing answers there"),
    "broker that is not offered": (RUN, ["up", "--broker-url", "amqp://127.0.0.1:9"], 2, "--broker-url"),
    "full disk under up": (FULL_DISK, ["up"], 2, "has room"),
    "full disk under render": (FULL_WHILE_RENDERING, ["render"], 2, "cannot be written"),
    "full disk under new": (FULL_WHILE_RENDERING, ["new", "umbrella"], 2, "cannot be written"),
    "promotion without a store": (RUN, ["promote", "j1"], 2, "give --home of the `tenon up` that ran the job"),
    "demo in a foreign folder": (RUN, ["demo", "--home", "{root}"], 2, "give an empty --home"),
    "demo outside a repository": (RUN, ["demo", "--root", "{empty}"], 2, "is no Git repository"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Names that the cases may use; `root` is a copy of the inputs with one rendered file missing."""
    folder = tmp_path_factory.mktemp("surroundings")
    for name in ("tenants", "rendered"):
        shutil.copytree(ROOT / name, folder / "root" / name)
    for name in ("platform.yaml", "images.lock", "charts.lock"):
        shutil.copy(ROOT / name, folder / "root")
    next((folder / "root" / "rendered").rglob("*_namespace_acme-train.yaml")).unlink()
    (folder / "empty").mkdir()
    (folder / "file").touch()
    (folder / "damaged").mkdir()
    (folder / "damaged" / "ports.json").write_text("{")
    (folder / "spec").write_text("{base: nowhere, data: nowhere}")
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        names = {name: str(folder / name) for name in ("root", "empty", "file", "damaged", "spec")}
        yield {**names, "busy": str(busy.getsockname()[1]), "dead": str(dead.getsockname()[1])}


@pytest.mark.parametrize("case", CASES)
def test_bad_surroundings_are_one_message_with_the_remedy(case: str, place: dict[str, str], tmp_path: Path) -> None:
    program, words, code, said = CASES[case]
    words = [word.format(**place) for word in words]
    if "--root" not in words:
        words += ["--root", place["root"]]
    if words[0] in {"up", "promote"} and "--home" not in words:
        words += ["--home", str(tmp_path / "home")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_full_disk_leaves_the_inputs_as_they_were(place: dict[str, str]) -> None:
    assert not (Path(place["root"]) / "tenants" / "umbrella.yaml").exists()
