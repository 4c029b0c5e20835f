"""`python -m trainer.fetch URL FOLDER [--manifest DIGEST] [--adapter DIGEST]`: a verified folder for a model server."""

import argparse
import sys
from pathlib import Path

from trainer import storage
from trainer.contract.bucket import ADAPTER
from trainer.contract.steps import Exit
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing import manifest

WEIGHTS = f"{ADAPTER}/adapter_model.safetensors"


def main() -> Exit:
    """Fetch, then check what the caller knows of it: the manifest's digest, or that of the adapter's weights."""
    parser = argparse.ArgumentParser(prog="trainer.fetch", description=__doc__)
    parser.add_argument("url", help="s3://bucket/folder")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", help="sha256 that the folder's MANIFEST.json must have")
    parser.add_argument("--adapter", help="sha256 that the adapter's weights must have")
    wanted = parser.parse_args()
    try:
        folder = storage.fetch_folder(wanted.url, wanted.folder, digest=wanted.manifest)
        if wanted.adapter:
            manifest.check_file(folder / WEIGHTS, wanted.adapter)
    except (BadInput, manifest.Incomplete) as error:
        sys.stderr.write(f"{error}\n")
        return Exit.BAD_INPUT
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return Exit.FAILED
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
