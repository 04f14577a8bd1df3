"""Whether image-level labels can teach anything: what is the same in every image tells nothing apart."""

from collections.abc import Sequence

import numpy as np

from data.errors import some


def unlearnable(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """What can not be learnt from the labels (N, C) bool of the training images, in words; [] if all can.

    The MIL loss (Eq. 2) sees a softmax over the classes: of a single class it is 1 whatever the image shows, and a
    class that every image has is right for every box.
    """
    if len(class_names) == 1:
        return [
            f"'{class_names[0]}' is the only class: scores are a softmax over the classes, always 1 here, so nothing "
            "is learnt; add a second class with images of its own"
        ]
    everywhere = [name for name, column in zip(class_names, labels.T, strict=True) if column.all()]
    nowhere = [name for name, column in zip(class_names, labels.T, strict=True) if not column.any()]
    found = []
    if everywhere:
        found.append(
            f"every training image has {some(everywhere)}: what is always present can not be told from the rest; add "
            "images without it, or drop the class with `classes:`"
        )
    if nowhere:
        found.append(f"no training image has {some(nowhere)}: it can not be learnt; add images, or drop the class")
    return found
