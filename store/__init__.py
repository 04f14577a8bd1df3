"""The store: what the offline stages leave and the trainer reads, one Zarr v3 group for one list of images.

`open_store` reads, `store.create.create_or_open` makes and extends; the engine fills it.
"""

from store.contents import (
    IouGraph,
    Proposals,
    Seeds,
    is_done,
    read_graph,
    read_proposal_masks,
    read_proposals,
    read_seeds,
)
from store.errors import DamagedStoreError, IncompleteStoreError
from store.store import Store, open_store

__all__ = [
    "DamagedStoreError",
    "IncompleteStoreError",
    "IouGraph",
    "Proposals",
    "Seeds",
    "Store",
    "is_done",
    "open_store",
    "read_graph",
    "read_proposal_masks",
    "read_proposals",
    "read_seeds",
]
