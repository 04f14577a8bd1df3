"""Compile the loops of all stages ahead, for all processes of this machine or of a cluster's image:

    python -m stages.warm_up

It takes half a minute once, and a second where nothing is left to do. Where the result lies: `compiled.py`.
"""

import numpy as np

from stages.proposals.mcg.warm_up import ensure_compiled, tiny_image
from stages.registry import STAGE_NAMES, compute_image


def warm_up() -> None:
    """Run a tiny image through every stage."""
    ensure_compiled()
    rows: dict[str, np.ndarray] = {}
    for name in STAGE_NAMES:
        rows |= compute_image(name, tiny_image(), {}, rows)


if __name__ == "__main__":
    warm_up()
