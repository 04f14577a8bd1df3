"""Counts of images by outcome."""

from store.completion import UPSTREAM, Completion, ImageOutcome, WrittenObject
from store.layout import DONE, FAILED
from store.outcomes import ShardOutcome
from store.tally import Tally

OUTCOMES = (
    ImageOutcome("a", DONE, "", 2.0),
    ImageOutcome("b", FAILED, "truncated", 1.0),
    ImageOutcome("c", FAILED, UPSTREAM, 0.0),
    ImageOutcome("d", DONE, "", 0.5),
)


def test_images_by_outcome() -> None:
    tally = Tally.of(OUTCOMES)
    assert (tally.done, tally.failed, tally.upstream, tally.images) == (2, 1, 1, 4)
    assert tally.seconds == 2.5 and tally.reasons == {"truncated": 1}
    assert Tally.of(()) == Tally()


def test_tallies_add_up() -> None:
    both = Tally.of(OUTCOMES) + Tally.of(OUTCOMES[1:2])
    assert both == Tally(2, 2, 1, 2.5, 0, both.reasons) and both.reasons == {"truncated": 2}
    assert Tally.of(OUTCOMES[:1]) + Tally() == Tally.of(OUTCOMES[:1])


def test_records_have_bytes() -> None:
    record = Completion("f", 0, 4, OUTCOMES, {"a": WrittenObject(10, ""), "b": WrittenObject(5, "")})
    shard = ShardOutcome.of(record)
    assert Tally.of_shards([shard, shard]) == Tally.of(OUTCOMES) + Tally.of(OUTCOMES) + Tally(bytes=30)
    assert Tally.of_shards([shard], without={1}) == Tally.of((OUTCOMES[0], *OUTCOMES[2:])) + Tally(bytes=15)
    assert Tally.of_shards([]) == Tally()
