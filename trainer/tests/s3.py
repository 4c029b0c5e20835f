"""A real S3 server for tests: SeaweedFS from its wheel, on loopback, with two tenants' identities."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

WEED = Path(sys.executable).parent / "weed"
_PORTS = ("s3", "master", "volume", "filer", "admin")
_MOST = 55536  # each port has a twin 10,000 above it


@contextmanager
def running(folder: Path, *, tenant: str, bucket: str) -> Iterator[str]:
    """The endpoint of a server where `tenant` (its key and its secret) may use `bucket`."""
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    actions = [f"{right}:{bucket}" for right in ("Read", "Write", "List", "Admin")]
    identity = {"name": tenant, "credentials": [{"accessKey": tenant, "secretKey": tenant}], "actions": actions}
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
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
            server.terminate()


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


def _free_ports(number: int) -> list[int]:
    with ExitStack() as sockets:
        ports: list[int] = []
        while len(ports) < number:
            one = sockets.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            if one.getsockname()[1] < _MOST:
                ports.append(one.getsockname()[1])
        return ports
