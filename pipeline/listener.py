"""What a run tells while it goes."""

from store.tally import Tally


class Listener:
    """Hears of a run's course; this one stays silent. Displays derive from it."""

    def begin(self, stage: str, todo: int, kept: Tally) -> None:
        """A stage starts: number of images to compute, and those that are done or failed from before."""

    def advance(self, computed: Tally, workers: int) -> None:
        """A shard was written; `workers` processes are at work."""

    def note(self, message: str) -> None:
        """Something the user should read."""

    def end(self) -> None:
        """The stage is over, whether complete or not."""
