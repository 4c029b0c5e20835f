"""How an evaluation gets on: told to the sink, and asked at each forward whether it is to end."""

from trainer.durability.interruption import Interruption
from trainer.durability.ranks import Ranks
from trainer.outcomes import Killed
from trainer.sinks import Sink

TEXT = "asked to stop; what was measured is kept, and the evaluation goes on with the rest when it is started again"


class Pace:
    """total: forwards of the whole. All ranks call `step` equally often: the answer is theirs together."""

    def __init__(self, sink: Sink, interruption: Interruption, ranks: Ranks, *, total: int) -> None:
        self.ranks, self.total = ranks, total
        self._sink, self._interruption = sink, interruption
        self._done = 0

    @property
    def is_asked_alone(self) -> bool:
        """Whether a process without other ranks was asked to stop; such a one need not wait for the next forward."""
        return self.ranks.world == 1 and self._interruption.requested

    def step(self, number: int = 1) -> None:
        """Before a forward. Raises Killed after a signal to any rank."""
        if self.ranks.any(self._interruption.requested):
            raise Killed(TEXT)
        self._done = min(self._done + number, self.total)
        if self.ranks.is_first:
            self._sink.progress(self._done, self.total, {})

    def alone(self) -> None:
        """Between two calls of something slow that needs no other rank. Raises Killed after a signal to this one."""
        if self._interruption.requested:
            raise Killed(TEXT)
