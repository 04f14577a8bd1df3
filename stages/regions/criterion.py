"""What a hierarchy merges first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MergeCriterion:
    """What a hierarchy merges first: the pair of smallest (contour + color x Lab distance) x smaller area ^ size.

    size: alpha, exponent of the smaller region's share of the image; 0 leaves the plain mean-contour hierarchy.
    color: lambda, weight of the distance of the mean Lab colours (in units of about one standard deviation).
    leaves: regions at which the bottom of the hierarchy is cut off.
    """

    size: float
    color: float
    leaves: int
