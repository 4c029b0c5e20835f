"""The job store as operators' commands open it: by address, or by the folder of a `tenon up`."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenon.home import Home
from tenon.output import CommandError, ExitCode

if TYPE_CHECKING:
    from sqlalchemy import Engine


def arguments(parser: argparse.ArgumentParser) -> None:
    """`--home` and `--store-url`."""
    parser.add_argument("--home", type=Path, default=Path(".cache/up"), help="folder of `tenon up` (default .cache/up)")
    parser.add_argument("--store-url", default=os.environ.get("TENON_STORE_URL"), help="default: SQLite below --home")


@contextmanager
def opened(options: argparse.Namespace) -> "Iterator[Engine]":
    """The store that the options name. Raises CommandError; exit 3 where it does not answer, then or in the block."""
    from app.store.engine import StoreUnavailable, open_store

    home = Home(options.home)
    if not options.store_url and not home.store.exists():
        raise CommandError(f"{options.home}: holds no store; give --home of a `tenon up`, or --store-url")
    try:
        engine = open_store(with_driver(options.store_url) if options.store_url else home.store_url)
        try:
            yield engine
        finally:
            engine.dispose()
    except StoreUnavailable as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from None


def with_driver(url: str) -> str:
    """The address as the services take it: `postgresql:` names the driver that they bring."""
    return url.replace("postgresql:", "postgresql+psycopg:", 1) if url.startswith("postgresql:") else url


def operator() -> str:
    """Who the audit says it was: an operator's own name on this machine, which nothing vouches for."""
    import getpass

    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name
        return f"user:{os.getuid()}"
