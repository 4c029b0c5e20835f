"""What the judge does not understand it refuses: a verdict about a misread policy would be worth nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

_MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class Refused(Exception):  # noqa: N818 - a refusal is an answer (exit code 2), not a fault of the judge
    """Input outside of what the evaluator knows.

    where: file, with the line where one is known; at: path inside the document; why: value, rule and remedy.
    """

    def __init__(self, *, where: str, at: str, why: str) -> None:
        super().__init__(f"{where}: {at}: {why}" if at else f"{where}: {why}")
        self.where = where
        self.at = at
        self.why = why


@contextmanager
def shaped_as_its_kind() -> Iterator[None]:
    """Invariants read objects as the cluster serves them, where a mapping is a mapping; what is none is refused.

    Policies, the profile and metadata are checked field by field, and name the place themselves.
    """
    try:
        yield
    except _MISSHAPEN as error:
        why = (
            f"an object has a part of another type than its kind wants ({type(error).__name__}: {error}); render again"
        )
        raise Refused(where="tree", at="", why=why) from error
