"""The folder of `tenon up`: one user at a time, stable addresses, secrets for the owner alone."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tenon.home import Home
from tenon.output import CommandError, ExitCode


def test_a_second_up_on_the_same_folder_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with Home(tmp_path).alone(), pytest.raises(CommandError, match=r"another `tenon up` \(process \d+\) uses it"):
        Home(tmp_path).alone().__enter__()


def test_a_folder_is_in_use_as_long_as_an_up_holds_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert not home.is_in_use
    with home.alone():
        assert home.is_in_use
    assert not home.is_in_use


def test_the_folder_is_free_again_after_the_first_has_ended(tmp_path: Path) -> None:
    with Home(tmp_path).alone():
        pass
    with Home(tmp_path).alone():
        pass


def test_a_home_that_is_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(CommandError, match="give a --home that can be written and has room"):
        Home(tmp_path / "home").alone().__enter__()


def test_a_full_disk_is_one_clear_message(tmp_path: Path) -> None:
    """A file-size limit of 0 bytes makes every write fail as a full disk does."""
    code = (
        "import resource, signal, sys, pathlib; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from tenon.home import Home; from tenon.output import CommandError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try:\n"
        "    Home(pathlib.Path(sys.argv[1])).alone().__enter__()\n"
        "except CommandError as error:\n"
        "    print(error); sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")
    assert "has room" in done.stdout


def test_ports_stay_the_same_over_restarts(tmp_path: Path) -> None:
    first = Home(tmp_path).ports(api=None)
    assert Home(tmp_path).ports(api=None) == first
    assert len(set(first.values())) == len(first)


def test_a_port_in_use_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(CommandError) as error:
        Home(tmp_path).ports(api=server.getsockname()[1])
    assert error.value.code is ExitCode.UNAVAILABLE
    assert "something listens there" in str(error.value)


def test_api_keys_are_drawn_once_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.api_keys(["acme", "globex"])
    assert home.api_keys(["acme", "globex", "initech"]).items() >= first.items()
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    assert len(set(json.loads((tmp_path / "keys.json").read_text()).values())) == 3
