"""Stage `grabcut`: which proposals carry a seed mask, and the masks (PDSL, section 3.3)."""

from stages.grabcut.stage import grabcut_stage

__all__ = ["grabcut_stage"]
