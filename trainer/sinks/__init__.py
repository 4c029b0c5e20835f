"""Where the numbers of a run are shown. A sink never raises, and none of them slows a training."""

from trainer.sinks.console import ConsoleSink
from trainer.sinks.sink import Line, Metrics, Sink, Sinks
from trainer.sinks.status import StatusSink

__all__ = ["ConsoleSink", "Line", "Metrics", "Sink", "Sinks", "StatusSink"]
