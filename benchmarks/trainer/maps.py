"""Feature maps kept on disk (`features.cache`), as a benchmark has them: its own, all computed before it measures."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.parameters import replace
from pdsl.config.tree import Config


@contextmanager
def own_maps(config: Config) -> Iterator[Config]:
    """The configuration with its maps, if it keeps any, in a folder of their own within the one that it names, on the
    same disk, for the time of the block: maps of random weights are of no use to anybody."""
    if config.features.cache is None:
        yield config
        return
    named = Path(config.features.cache)
    named.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=named) as folder:
        yield replace(config, {"features": {"cache": folder}})
