"""Base models on their way from package data to the platform's read-only bucket, converted once and kept."""

import os
from pathlib import Path

from app.contract.directory import PlatformEntry
from tenon.home import Home
from tenon.output import CommandError, ExitCode, say


def cache_folder(home: Home) -> Path:
    """TENON_CACHE, else below the home: conversions are shared by all homes that name one cache."""
    return Path(os.environ.get("TENON_CACHE") or home.folder / "cache")


def publish_base_models(home: Home, platform: PlatformEntry) -> None:
    """Bring every base of the catalogue into the models bucket, under its digest.

    Address and credential of the object store are the environment's.

    Raises CommandError when a base cannot be had here or is not what platform.yaml says.
    """
    from trainer import storage
    from trainer.outcomes import BadInput, Unavailable

    for name, entry in platform.catalogue.items():
        folder = converted(name, entry.digest, cache_folder(home))
        url = f"s3://{platform.models_bucket}/{entry.digest}"
        try:
            if not storage.is_complete(url):
                say(f"publishing base model {name} ...")
                storage.store_folder(folder, url)
        except (BadInput, Unavailable) as error:
            raise CommandError(str(error), ExitCode.UNAVAILABLE) from None


def converted(name: str, digest: str, cache: Path) -> Path:
    """The base model's folder in the cache, made from package data when it is not there."""
    from trainer.model.gguf import import_smollm2

    if name != "smollm2-135m":
        text = f"base {name!r}: no source here; put its folder into the models bucket of the store TENON_S3_URL names"
        raise CommandError(text, ExitCode.UNAVAILABLE)
    folder = cache / "bases" / digest
    if not folder.exists():
        say(f"converting {name} from its package, once (about 20 s) ...")
        partial = folder.with_suffix(".partial")
        made = import_smollm2(partial)
        if made != digest:
            text = f"base {name!r}: converted to digest {made}, platform.yaml says {digest}; mend the catalogue"
            raise CommandError(text)
        partial.rename(folder)
    return folder
