"""Method `files` of stage `proposals` from a store of this program: proposals that were computed before."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from data.errors import InputError
from pipeline.spec import ImageFailure
from stages.proposals.image_names import NOT_IN_FILE
from store import contents
from store.store import Store, open_store


@dataclass(frozen=True)
class ProposalStore:
    """Proposals in the store at `path` (folder or fsspec URL), looked up by image id.

    fingerprint: identity of what is read, the store's proposals stage and image list.

    Raises InputError at once if the store's proposals are missing or incomplete.
    """

    path: str
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        store = open_store(self.path)
        store.require(contents.PROPOSALS)
        stage = store.identity(contents.PROPOSALS)
        if stage is None:
            raise InputError(f"{self.path}: has no proposals; run precompute for stage '{contents.PROPOSALS}' there")
        object.__setattr__(self, "fingerprint", f"{stage.fingerprint}:{store.digest}")

    def lookup(self, image_id: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) float32 xyxy and scores (n,) float32 of an image of `size` (height, width), best first.

        Raises ImageFailure for an image that the store lacks, that failed there, or that has another size.
        """
        store, rows = _opened(self.path, self.fingerprint)
        row = rows.get(image_id)
        if row is None:
            raise ImageFailure(NOT_IN_FILE)
        if not contents.is_done(store, contents.PROPOSALS, row):
            raise ImageFailure(f"failed in {self.path}")
        stored = tuple(store.images().sizes[row].tolist())
        if stored != size:
            raise ImageFailure(f"is {stored[0]} x {stored[1]} in {self.path}, {size[0]} x {size[1]} here")
        return contents.read_proposals(store, row)


@lru_cache(maxsize=4)
def _opened(path: str, fingerprint: str) -> tuple[Store, dict[str, int]]:
    """The store and its rows by image id, once per process; `fingerprint` tells changed content apart."""
    store = open_store(path)
    return store, {image_id: row for row, image_id in enumerate(store.images().ids)}
