"""Equations 2 to 8 and the pseudo labels once more, in float64 and plain loops, read straight from the paper.

Slow and without torch's arithmetic on purpose; the tests compare the model's functions with these.
Lists of floats; labels are 0-based with background = C.
"""

from math import exp, log

Vector = list[float]
Matrix = list[list[float]]


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def softmax(values: Vector) -> Vector:
    top = max(values)
    powers = [exp(v - top) for v in values]
    return [p / sum(powers) for p in powers]


def proposal_scores(c: Matrix, d: Matrix, valid: list[bool]) -> Matrix:
    """S^0 = softmax over classes of C times softmax over (valid) proposals of D."""
    rows, classes = len(c), len(c[0])
    score = [[0.0] * classes for _ in range(rows)]
    members = [r for r in range(rows) if valid[r]]
    for k in range(classes):
        if not members:
            continue
        over_proposals = dict(zip(members, softmax([d[r][k] for r in members]), strict=True))
        for r in members:
            score[r][k] = softmax(c[r])[k] * over_proposals[r]
    return score


def image_scores(score: Matrix) -> Vector:
    return [sum(row[k] for row in score) for k in range(len(score[0]))]


def multiple_instance_loss(y: Vector, t: list[bool], margin: float = 1e-6) -> float:
    loss = 0.0
    for c in range(len(y)):
        score = min(max(y[c], margin), 1 - margin)
        loss -= log(score) if t[c] else log(1 - score)
    return loss


def smooth_l1(difference: float, beta: float) -> float:
    size = abs(difference)
    if beta == 0:
        return size
    return 0.5 * size * size / beta if size < beta else size - 0.5 * beta


def refinement_loss(
    logit: Matrix, label: list[int], weight: Vector, delta: list[Matrix], target: Matrix, beta: float
) -> tuple[float, float]:
    classification = regression = 0.0
    n_classes = len(logit[0]) - 1
    for p in range(len(logit)):
        top = max(logit[p])
        log_partition = top + log(sum(exp(v - top) for v in logit[p]))
        classification += weight[p] * (log_partition - logit[p][label[p]])
        if label[p] < n_classes:
            for k in range(4):
                regression += weight[p] * smooth_l1(delta[p][label[p]][k] - target[p][k], beta)
    return classification, regression


def binary_cross_entropy(logit: Matrix, target: Matrix) -> float:
    """-sum over cells of target log M + (1 - target) log(1 - M), with log M = -log(1 + exp(-logit))."""
    loss = 0.0
    for row, target_row in zip(logit, target, strict=True):
        for x, goal in zip(row, target_row, strict=True):
            soft_plus = max(x, 0) + log(1 + exp(-abs(x)))  # -log(1 - M)
            loss += goal * (soft_plus - x) + (1 - goal) * soft_plus
    return loss


def segmentation_losses(
    logit: list[list[list[Matrix]]],
    target: list[Matrix],
    agnostic: list[bool],
    label: list[int],
    y: Vector,
    n_classes: int,
    hard: bool,
) -> Vector:
    """Eq. 5 with logit[m][p][c]: M^m_{pc}; head 0 has one class. Returns the sum of each head."""
    losses = [0.0] * len(logit)
    for p, goal in enumerate(target):
        if agnostic[p]:
            losses[0] += binary_cross_entropy(logit[0][p][0], goal)
    for m in range(1, len(logit)):
        for p in range(len(target)):
            for c in range(n_classes):
                if label[p] != c:
                    continue
                previous = logit[m - 1][p][c if m > 1 else 0]
                goal = [[float(sigmoid(x) >= 0.5) if hard else sigmoid(x) for x in row] for row in previous]
                losses[m] += y[p] * binary_cross_entropy(logit[m][p][c], goal)
    return losses


def proposal_activation(logit: Matrix, tau: float) -> float:
    cells = [exp(tau * sigmoid(x)) for row in logit for x in row]
    return log(sum(cells) / len(cells)) / tau


def activation_correlation(activation: Vector, score: Vector, foreground: list[bool], n_proposals: int) -> float:
    return sum(abs(a - s) for a, s, f in zip(activation, score, foreground, strict=True) if f) / n_proposals


def iou(a: Vector, b: Vector) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    areas = [max(0.0, x[2] - x[0]) * max(0.0, x[3] - x[1]) for x in (a, b)]
    union = sum(areas) - both
    return both / union if union > 0 else 0.0


def assign(
    box: Matrix, valid: list[bool], top: dict[int, Vector], y: Vector, n_classes: int
) -> tuple[list[int], Vector]:
    """Labels and weights: IoU >= 0.5 foreground, else background of the class overlapped most; ties: lower class."""
    labels, weights = [], []
    for p, proposal in enumerate(box):
        if not top or not valid[p]:
            labels.append(n_classes)
            weights.append(0.0)
            continue
        best = max(sorted(top), key=lambda c: iou(proposal, top[c]))
        labels.append(best if iou(proposal, top[best]) >= 0.5 else n_classes)
        weights.append(y[best])
    return labels, weights


def choose_seeds(top: dict[int, Vector], seed_box: Matrix, valid: list[bool], n_seed: int) -> set[int]:
    chosen: set[int] = set()
    for box in top.values():
        order = sorted((q for q in range(len(seed_box)) if valid[q]), key=lambda q: -iou(box, seed_box[q]))
        chosen.update(order[:n_seed])
    return chosen


def propagate(box: Matrix, seed_box: Matrix, chosen: set[int]) -> list[int]:
    return [max(sorted(chosen), key=lambda q: iou(proposal, seed_box[q])) for proposal in box]
