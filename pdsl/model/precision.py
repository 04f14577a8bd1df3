"""In which precision a model computes: one rule for training and for what looks at images afterwards."""

import copy

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from pdsl.model.pdsl import PDSL


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether passes run under bf16 autocast: as asked, or by default on a CUDA device that computes in it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"


def cast_by_autocast(model: nn.Module) -> list[nn.Parameter]:
    """Weights and biases of the layers that bf16 autocast computes in bf16, as far as they learn: what it would cast
    anew in every block. (Frozen norms are folded into frozen convolutions in float32, and that is kept as it is.)"""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | _ConvNd)]
    return [p for layer in layers for p in layer.parameters(recurse=False) if p.requires_grad]


def cast_once(model: PDSL) -> PDSL:
    """A copy of the model for many passes under bf16 autocast, whose weights are cast already: the same bits.

    All else is shared, the folder of feature maps too. What the model learns later, the copy does not.
    """
    shared = {id(x): x for x in (*model.parameters(), *model.buffers(), model.backbone.cache)}
    cast = {id(p): nn.Parameter(p.detach().to(torch.bfloat16)) for p in cast_by_autocast(model)}
    return copy.deepcopy(model, {**shared, **cast})
