"""Image lists as columns: the same sequence as a tuple of records, in a fraction of the memory."""

import hashlib
import pickle
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.columns import Paths, Texts
from data.records import ImageList, ImageRecord, Records, image_digest

TEXT = st.text(max_size=5)
PATH = st.lists(st.text("ab", max_size=2), min_size=1, max_size=3).map("/".join)
LABEL = st.lists(st.integers(0, 6), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
RECORD = st.builds(ImageRecord, TEXT, PATH, st.tuples(st.integers(0, 9), st.integers(0, 9)), LABEL)
CUT = st.slices(6)


@given(st.lists(TEXT, max_size=6), st.data())
def test_texts_are_a_sequence(texts: list[str], data: st.DataObject) -> None:
    found = Texts.of(iter(texts))
    part = data.draw(CUT)
    assert found == texts and list(found) == texts and len(found) == len(texts)
    assert [found[k] for k in range(-len(texts), len(texts))] == texts + texts
    assert found[part] == texts[part] and list(found[1:][:3]) == texts[1:][:3]
    assert pickle.loads(pickle.dumps(found[1:])) == texts[1:]
    assert Texts.joined([found, found[1:]]) == texts + texts[1:] and hash(found[:1]) == hash(Texts.of(texts[:1]))
    rows = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=4) if texts else st.just([])), int)
    assert found.take(rows) == [texts[row] for row in rows]


@given(st.lists(TEXT, max_size=6), st.lists(TEXT, max_size=6))
def test_places_are_those_of_a_dictionary(texts: list[str], wanted: list[str]) -> None:
    once = list(dict.fromkeys(texts))
    expected = [once.index(text) if text in once else -1 for text in wanted]
    assert Texts.of(once).places(Texts.of(wanted)).tolist() == expected
    assert Texts.of(texts).firsts().tolist() == [k for k, text in enumerate(texts) if text not in texts[:k]]


def test_texts_of_one_hash_are_told_apart() -> None:
    found, wanted = Texts.of(["a", "b", "c"]), Texts.of(["c", "x", "a"])

    class Colliding(Texts):
        def _hashes(self) -> np.ndarray:
            return np.array([len(text) for text in self.raw()], np.int64)

    mine, other = (Colliding(bytes(t._content()), t._ends) for t in (found, wanted))
    assert mine.places(other).tolist() == [2, -1, 0] and mine.firsts().tolist() == [0, 1, 2]


@given(st.lists(RECORD, max_size=6), st.data())
def test_records_are_a_sequence(records: list[ImageRecord], data: st.DataObject) -> None:
    found = Records.of(iter(records))
    part = data.draw(CUT)
    assert found == records and list(found) == records and found.paths == found.paths[:]
    assert [found[k] for k in range(-len(records), len(records))] == records + records
    assert found[part] == records[part] and pickle.loads(pickle.dumps(found[1:4])) == records[1:4]
    assert Records.joined(found, found[1:]) == records + records[1:]
    matrix = found[1:].label_matrix(7)
    assert [tuple(np.flatnonzero(row)) for row in matrix] == [record.label for record in records[1:]]
    assert Paths.of(r.path for r in records) == [r.path for r in records]


def test_names_that_are_no_utf8_are_kept() -> None:
    odd = b"caf\xe9.jpg".decode(errors="surrogateescape")
    assert Texts.of([odd])[0] == odd and Paths.of([f"/x/{odd}"])[0] == f"/x/{odd}"


def test_the_digest_is_that_of_earlier_versions() -> None:
    expected = hashlib.sha256(b"a\x002\x003\nb\x004\x005\n").hexdigest()
    assert image_digest(["a", "b"], np.array([[2, 3], [4, 5]])) == expected


def test_an_image_takes_less_than_a_hundred_bytes() -> None:
    n = 50_000
    tracemalloc.start()
    records = (ImageRecord(f"{k:012d}", f"/data/train2017/{k:012d}.jpg", (480, 640), (k % 80,)) for k in range(n))
    images = ImageList("coco:/data", "train2017", ("a",) * 80, tuple(range(80)), Records.of(records))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(images) == n and held / n < 100 and peak / n < 200
