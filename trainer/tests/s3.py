"""A real S3 server for tests: SeaweedFS from its wheel, on loopback."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

WEED = Path(sys.executable).parent / "weed"
_PORTS = ("s3", "master", "volume", "filer", "admin")
_MOST = 55536  # each port has a twin 10,000 above it


Identity = dict[str, Any]


def identity(key: str, secret: str, *, actions: list[str]) -> Identity:
    """An account of SeaweedFS and its rights (`Read:<bucket>`)."""
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


@contextmanager
def running(folder: Path, identities: Sequence[Identity]) -> Iterator[str]:
    """The endpoint of a server that knows these identities; it ends with the block, its data with the folder."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    (folder / "identities.json").write_text(json.dumps({"identities": list(identities)}))
    command = [str(WEED), "mini", "-dir", str(folder), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 'identities.json'}"]
    command += ["-admin.ui=false", "-webdav=false", "-master.telemetry=false"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            endpoint = f"http://127.0.0.1:{ports['s3']}"
            _wait_for(endpoint, server)
            yield endpoint
        finally:
            server.kill()  # a clean stop takes seconds and nothing is to be kept


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(endpoint, timeout=1).close()
        except urllib.error.HTTPError:
            return  # it answers, and refuses a stranger
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the S3 server does not come up")


def free_ports(number: int) -> list[int]:
    with ExitStack() as sockets:
        ports: list[int] = []
        while len(ports) < number:
            one = sockets.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            if one.getsockname()[1] < _MOST:
                ports.append(one.getsockname()[1])
        return ports
