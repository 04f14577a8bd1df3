"""What a run tells while it goes."""

from pipeline.task import ShardResult


class Listener:
    """Hears of a run's course; this one stays silent. Displays derive from it."""

    def begin(self, stage: str, *, todo: int, done: int, failed: int) -> None:
        """A stage starts: images to compute, and those that are done or failed from before."""

    def advance(self, result: ShardResult, workers: int) -> None:
        """A shard was written; `workers` processes are at work."""

    def note(self, message: str) -> None:
        """Something the user should read."""

    def end(self) -> None:
        """The stage is over, whether complete or not."""
