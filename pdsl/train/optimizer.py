"""SGD as the release sets it up or AdamW, the learning-rate schedule, and an update that the device can block."""

from typing import Any

import torch
from torch import Tensor, nn

from pdsl.config.tree import OptimizerConfig, ScheduleConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of the trainable parameters, biases in a group of their own (release: lr x2, no decay).

    Gradients and momentum are allocated as zeros at once: a parameter without a gradient in one step is treated alike
    whatever the split over processes, and a blocked first update leaves nothing undefined.
    """
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (biases if name.rpartition(".")[2] == "bias" else weights).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": weights, "lr_factor": 1.0, "weight_decay": config.weight_decay},
        {"params": biases, "lr_factor": config.bias_lr_factor, "weight_decay": config.bias_weight_decay},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer: torch.optim.Optimizer
    if config.kind == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999), fused=True)
    else:
        optimizer = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
    for parameter in trainable(optimizer):
        parameter.grad = torch.zeros_like(parameter)
        if config.kind == "sgd" and config.momentum:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def trainable(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """The parameters that an optimizer updates."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def learning_rate(step: int, base: float, schedule: ScheduleConfig) -> float:
    """The learning rate of update `step` (0-based)."""
    warm = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    return base * warm * schedule.factor ** sum(step >= drop for drop in schedule.drops)


def update(optimizer: torch.optim.Optimizer, lr: float, blocked: Tensor) -> None:
    """One update at learning rate `lr`; nothing changes where `blocked`, a float scalar on the device, is 1.

    The decision stays on the device: fused optimizers read `found_inf`, as torch.amp.GradScaler uses it.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
    optimizer.found_inf = blocked  # type: ignore[attr-defined]
    optimizer.step()


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """The Euclidean norm of all gradients together, a scalar on the device."""
    norms = torch._foreach_norm([p.grad for p in trainable(optimizer) if p.grad is not None])
    return torch.linalg.vector_norm(torch.stack(list(norms)))
