"""Files of a data set that lie in object stores: several at once, and copies of them on this machine."""

from collections.abc import Sequence

from data.files import is_url, read_remote_together
from store.copies import Copies


def read_files(paths: Sequence[str], copies: Copies | None) -> dict[str, bytes]:
    """The contents of those of `paths` that are URLs and could be read in one go; others are for `data.decode` to open,
    with its retries and its messages.

    copies: where they are looked for first, and kept. A copy goes by its URL: it does not see a file replaced there.
    """
    found: dict[str, bytes] = {}
    for url in dict.fromkeys(path for path in paths if is_url(path)):
        if copies and (kept := copies.get(url)):
            found[url] = kept[0]
    fetched = read_remote_together([path for path in dict.fromkeys(paths) if is_url(path) and path not in found])
    for url, content in fetched.items():
        if copies:
            copies.put(url, [content])
    return found | fetched
