"""`relabel`: changed labels and classes of a data set into a store, without computing anything."""

from data.catalog import load_images
from store.create import only_stored, refuse_if_running, relabel
from store.labels import label_changes
from store.store import open_store


def run(*, store: str, data: str | None = None, split: str | None = None) -> int:
    """Write labels and classes of the data set, as they are now, into store `store`; say what changed. Returns 0.

    data, split: SPEC and split; by default those the store was made from. Images that the data set has and the store
    lacks are left to `precompute`. Raises InputError where an image of the store is gone or has another size.
    """
    opened = open_store(store)
    spec, part = data or opened.attributes["spec"], split or opened.attributes["split"]
    listed = load_images(spec, part)
    images = opened.align(only_stored(opened, listed))
    changes = label_changes(opened, images)
    if changes:
        refuse_if_running(opened)
    relabel(opened, images)
    print(f"{store}: {'; '.join(changes) or f'labels are those of {spec} {part} already'}")
    if added := len(listed) - len(images):
        print(f"{store}: {added} images of {spec} {part} are not in it yet; precompute adds them")
    return 0
