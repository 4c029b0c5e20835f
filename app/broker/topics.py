"""Where messages are at each point of their way; the names are the contract's."""

from dataclasses import dataclass

from app.contract.internal import DEAD_LETTER_TOPIC, DISPATCHER_GROUP, JOBS_TOPIC, RETRY_TOPICS


@dataclass(frozen=True)
class Topics:
    """levels: topic and seconds of each turn that a failed message gets, in order."""

    jobs: str = JOBS_TOPIC
    levels: tuple[tuple[str, float], ...] = tuple(RETRY_TOPICS.items())
    dead_letters: str = DEAD_LETTER_TOPIC
    group: str = DISPATCHER_GROUP

    @property
    def taken(self) -> tuple[str, ...]:
        """What a consumer reads; never the dead letters, so that none of them becomes one again by itself."""
        return (self.jobs, *(name for name, _ in self.levels))

    def next_level(self, attempts: int) -> tuple[str, float] | None:
        """Where a message goes whose `attempts`-th attempt failed; None after the last level."""
        return self.levels[attempts - 1] if 0 < attempts <= len(self.levels) else None


TOPICS = Topics()
