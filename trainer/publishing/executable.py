"""What may run code when it is loaded: a program, or a pickle under whatever name. One list for all that is read."""

from pathlib import Path

_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".pyc", ".so", ".npy", ".npz", ".joblib"}
_PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
_ZIP = b"PK\x03\x04"  # how torch.save begins
WEIGHTS = ".safetensors"


def may_run(path: Path) -> bool:
    """Whether loading the file by the usual means could run code; by its name in any case, then by its content."""
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return True
    if suffix == WEIGHTS:  # begins with a length, which may be any bytes, and is never unpickled
        return False
    with path.open("rb") as file:
        head = file.read(4)
    return head.startswith((*_PICKLE, _ZIP))
