"""Proposals of a store, by image id: all that evaluation reads of it."""

import numpy as np

from data.records import ImageRecord
from pdsl.evaluate.infer import NoProposals
from store.layout import DONE
from store.store import Store


class StoredProposals:
    """A ProposalSource. Raises InputError at once if the store's proposals are incomplete."""

    def __init__(self, store: Store) -> None:
        store.require("proposals")
        self.store = store
        self.rows = {image_id: row for row, image_id in enumerate(store.images().ids)}
        self.status = store.status("proposals")

    def __call__(self, record: ImageRecord, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) float32 xyxy, best first, and scores (P,) float32. Raises NoProposals where the stage failed."""
        row = self.rows[record.id]
        if self.status[row] != DONE:
            raise NoProposals("stage 'proposals' failed for it; see `status`")
        count = int(self.store.read("proposals/count", row))
        return self.store.read("proposals/box", row)[:count], self.store.read("proposals/score", row)[:count]
