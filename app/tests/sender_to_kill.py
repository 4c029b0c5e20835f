"""A sender as a process of its own, over a given store and to a receiver on loopback, for tests that kill it.

Arguments: URL of the store, URL of the tenant directory, port of the receiver, file of its certificate.
"""

import sys
import threading
from pathlib import Path

from app.delivery.posting import Post
from app.delivery.signing import SigningKeys
from app.directory import read
from app.process import repeat
from app.store.engine import open_store
from app.store.outbox import Outbox
from app.store.webhook_keys import WebhookKeys
from app.telemetry import tracing
from app.tests.receivers import Internet, trust
from app.webhooks import Webhooks


def main(store: str, directory: str, port: str, certificate: str) -> None:
    engine = open_store(store)
    sender = Webhooks(
        outbox=Outbox(engine),
        generations=WebhookKeys(engine),
        signing=SigningKeys(b"a master key of the tests, 32 bytes"),
        directory=read(directory),
        post=Post(Internet(int(port)).network(), trust=trust(Path(certificate))),
        tracing=tracing("webhooks", None),
    )
    repeat(sender.round, until=threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
