"""Compile the loops once per machine, not once per worker.

numba keeps compiled code on disk, beside the modules or, if that folder is read-only, in the user's cache folder
(`NUMBA_CACHE_DIR` moves it). Workers that start together would all find it empty and all compile. `ensure_compiled`
lets the first one do it while the others wait, without using their core. To do it ahead, e.g. in an image of a cluster:
`python -m stages.proposals.mcg.warm_up`.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@cache
def ensure_compiled() -> None:
    """Run a tiny image through the method, at most once per process, one process at a time."""
    import numpy as np

    from stages.contours import detector_by_name
    from stages.proposals.mcg.method import mcg_proposals
    from stages.proposals.mcg.params import McgParams

    image = np.zeros((16, 16, 3), np.uint8)
    image[4:12, 4:12] = 255
    with _exclusive(Path(tempfile.gettempdir()) / f"pdsl-mcg-{os.getuid()}.lock"):
        mcg_proposals(image, McgParams(max_proposals=10, masks=True), detector_by_name("gradient"))


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path`; the system releases it if the process dies."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    ensure_compiled()
