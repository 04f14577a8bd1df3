"""The offline stages: what each computes from one image. Driven by `pipeline`, or called by hand.

`build_stage(name, settings)` makes a stage; `compute_image` runs one on an image in memory.
"""

from stages.registry import STAGE_NAMES, build_stage, compute_image

__all__ = ["STAGE_NAMES", "build_stage", "compute_image"]
