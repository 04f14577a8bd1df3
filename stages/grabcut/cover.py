"""Choice of the seeds: a greedy cover of the IoU graph.

The detector's later preferences are unknown when the masks are made, so the seeds must serve any of them: each
proposal shall have a seed with IoU >= t. Greedy set cover needs few more seeds than the smallest cover.
"""

import heapq

import numpy as np

from data.boxes import paired_iou, pairwise_iou


def overlapping_pairs(boxes: np.ndarray, neighbor: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (i, j), both directions and i = j included, of the graph's edges with exact IoU >= `threshold`.

    boxes: (n, 4) float32 xyxy. neighbor: (n, K) indices, itself first, 0 as padding.
    Returns two (m,) int64 arrays sorted by i, then j, without repetition.
    """
    n = len(boxes)
    first = np.repeat(np.arange(n), neighbor.shape[1])
    second = neighbor.astype(np.int64).ravel()
    keep = (paired_iou(boxes[first], boxes[second]) >= threshold) | (first == second)
    first, second = first[keep], second[keep]
    keys = np.unique(np.concatenate([first * n + second, second * n + first, np.arange(n) * (n + 1)]))
    return keys // n, keys % n


def greedy_cover(boxes: np.ndarray, neighbor: np.ndarray, threshold: float, capacity: int) -> np.ndarray:
    """Seeds: indices of at most `capacity` proposals, in order of proposal rank, (q,) int64.

    Each step takes the proposal that covers most of the still uncovered ones (ties: the better ranked), until all are
    covered or the capacity is reached. A graph cut off at K neighbours lists fewer pairs, which costs seeds and
    never cover: whatever it lists is checked on exact IoU.
    """
    n = len(boxes)
    first, second = overlapping_pairs(boxes, neighbor, threshold)
    start = np.searchsorted(first, np.arange(n + 1))
    covered = np.zeros(n, bool)
    heap = [(-int(gain), i) for i, gain in enumerate(np.diff(start))]
    heapq.heapify(heap)
    seeds: list[int] = []
    left = n
    while left and len(seeds) < capacity:
        claimed, i = heapq.heappop(heap)
        members = second[start[i] : start[i + 1]]
        gain = int((~covered[members]).sum())
        if gain != -claimed:  # gains only fall: a stale claim goes back with its present value
            if gain:
                heapq.heappush(heap, (-gain, i))
            continue
        covered[members] = True
        left -= gain
        seeds.append(i)
    return np.sort(np.array(seeds, np.int64))


def cover_share(boxes: np.ndarray, seeds: np.ndarray, threshold: float) -> float:
    """Share of `boxes` (n, 4) that have a seed with IoU >= `threshold`, or are one; 1 if there are no boxes."""
    if not len(boxes):
        return 1.0
    covered = np.zeros(len(boxes), bool)
    covered[seeds] = True
    if len(seeds):
        covered |= pairwise_iou(boxes, boxes[seeds]).max(1) >= threshold
    return float(covered.mean())
