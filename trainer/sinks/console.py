"""A progress bar on the terminal."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trainer.sinks.sink import Line, Metrics


class ConsoleSink:
    """A progress bar on stderr; nothing where that is no terminal, so that the reason of a failure stands alone."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:9}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None

    def begin(self, step: str) -> None:
        if self._bar is None:
            self._bars.start()
        else:
            self._bars.update(self._bar, total=1, completed=1)
        self._bar = self._bars.add_task(step, total=None, note="")

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        if self._bar is not None:
            note = "  ".join(f"{name} {value}" for name, value in metrics.items())
            self._bars.update(self._bar, completed=done, total=total, note=note)

    def record(self, line: Line) -> None:
        """Nothing: the bar's note has it from `progress`."""

    def finish(self, metrics: Metrics) -> None:
        del metrics
        if self._bar is not None:
            self._bars.update(self._bar, total=1, completed=1)
        self.close()

    def close(self) -> None:
        """Give the terminal back."""
        self._bars.stop()
