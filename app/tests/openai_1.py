"""The last `openai` client of its first generation, in a folder of the user's cache: `make get-openai-1`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements" / "openai-1.txt"


def folder() -> Path:
    """Named by the lock, so that another version lands in another folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tenon" / "openai-1" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]


def get() -> Path:
    """Install it, once; its dependencies are those of the virtual environment."""
    place = folder()
    if not place.exists():
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*uv, "-r", str(LOCK), "--target", str(draft)], check=True)
        draft.replace(place)
    return place


if __name__ == "__main__":
    sys.stdout.write(f"{get()}\n")
