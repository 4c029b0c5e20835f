"""How a step ends when it does not end well. `trainer/__main__` turns each into its exit code."""

from collections.abc import Sequence


class BadInput(Exception):  # noqa: N818 - an outcome, exit code 2
    """The job cannot succeed as it stands: the same input fails again.

    `details` are printed before the text, one line each (every bad row of a data set).
    """

    def __init__(self, text: str, details: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.details = tuple(details)


class Unavailable(Exception):  # noqa: N818 - an outcome, exit code 1
    """A component did not answer (object store, disk); the step may be tried again."""


class Stopped(Exception):  # noqa: N818 - an outcome, exit code 75
    """The step was asked to stop and has saved a checkpoint."""


class Killed(Exception):  # noqa: N818 - an outcome, exit code 143
    """The step was asked to stop and had nothing to save."""
