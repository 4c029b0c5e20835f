"""Runs a command in a network namespace of its own: `python -m controlplane.private_network COMMAND...`.

Controllers listen on fixed ports of every address. In here that is nobody else's machine, and nothing outside is
reachable. Root is not needed where user namespaces are allowed.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000  # linux/sched.h
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS, linux/sockios.h
_UP_AND_RUNNING = 0x41  # IFF_UP | IFF_RUNNING


def enter() -> None:
    """Leave the machine's network for one that has only loopback. Raises OSError where the kernel does not allow it."""
    user, group = os.getuid(), os.getgid()
    _unshare(NEW_NETWORK if user == 0 else NEW_NETWORK | NEW_USER)
    if user:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP_AND_RUNNING))


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(command: list[str]) -> None:
    """Ends as the command does; with 1 where namespaces are not allowed."""
    try:
        enter()
    except OSError as error:
        text = "run as root, or allow unprivileged user namespaces"
        sys.exit(f"no network namespace of its own ({error.strerror}); {text}")
    os.execvp(command[0], command)  # noqa: S606 - the caller's own command, without a shell


if __name__ == "__main__":
    main(sys.argv[1:])
