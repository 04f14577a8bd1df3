"""In which precision a model computes: one rule for training and for what looks at images afterwards."""

import torch


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether passes run under bf16 autocast: as asked, or by default on a CUDA device that computes in it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"
