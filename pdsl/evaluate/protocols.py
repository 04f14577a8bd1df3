"""Protocols by name: which annotated objects a set of published figures counts, and where it gives no verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from data.catalog import parse_spec

ProtocolName = Literal["coco", "voc-instance", "voc-detection", "strict"]


@dataclass(frozen=True)
class Protocol:
    """What the truth of boxes and of masks consists of. Crowds (COCO) are regions without a verdict in all of them.

    name: as `eval --protocol` takes it. meaning: for the report, half a sentence.
    difficult_boxes, difficult_masks: whether VOC's difficult objects are to be found as any other. If not, a detection
        of one is neither hit nor miss.
    no_verdict: whether, in the mask figures, void pixels and objects without a mask make a detection on them neither
        hit nor miss. If not, they are not part of the truth.
    """

    name: ProtocolName
    meaning: str
    difficult_boxes: bool
    difficult_masks: bool
    no_verdict: bool


_ALL = (
    Protocol("coco", "every box and every mask counts, crowds are ignored", True, True, False),
    Protocol("voc-instance", "every instance mask counts; of the boxes difficult ones are ignored", False, True, False),
    Protocol("voc-detection", "difficult objects are ignored", False, False, False),
    Protocol("strict", "difficult objects, void pixels and objects without a mask are ignored", False, False, True),
)
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({protocol.name: protocol for protocol in _ALL})
"""By name. `voc-instance` is what the published figures of VOC masks are computed with (docs/evaluation.md)."""


def default_protocol(spec: str) -> Protocol:
    """The protocol of the published figures of a data set: of VOC `voc-instance`, of all others `coco`."""
    return PROTOCOLS["voc-instance" if parse_spec(spec).scheme == "voc" else "coco"]
