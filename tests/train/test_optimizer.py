"""SGD with groups, the schedule, and updates blocked on the device."""

from typing import Literal

import pytest
import torch
from torch import nn

from pdsl.config.tree import OptimizerConfig, ScheduleConfig
from pdsl.train.optimizer import build_optimizer, gradient_norm, learning_rate, update

OFF, ON = torch.zeros(()), torch.ones(())


def test_update_is_momentum_sgd_with_the_biases_rules() -> None:
    model = nn.Linear(2, 1)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    config = OptimizerConfig(lr=0.1, momentum=0.9, weight_decay=0.01, bias_lr_factor=2, bias_weight_decay=0)
    optimizer = build_optimizer(model, config)
    velocity, bias_velocity = torch.zeros_like(weight), torch.zeros_like(bias)
    for step in range(3):
        model.weight.grad, model.bias.grad = torch.full_like(weight, 0.5), torch.full_like(bias, step + 1.0)
        velocity = 0.9 * velocity + 0.5 + 0.01 * weight
        bias_velocity = 0.9 * bias_velocity + (step + 1.0)
        weight, bias = weight - 0.1 * velocity, bias - 0.2 * bias_velocity
        update(optimizer, 0.1, OFF)
    torch.testing.assert_close(model.weight.detach(), weight)
    torch.testing.assert_close(model.bias.detach(), bias)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("blocked_step", [0, 2])
def test_a_blocked_update_changes_neither_weights_nor_momentum(
    blocked_step: int, kind: Literal["sgd", "adamw"]
) -> None:
    results = []
    for skip in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = build_optimizer(model, OptimizerConfig(kind=kind))
        for step in range(4):
            poisoned = step == blocked_step
            if poisoned and not skip:
                continue
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, float("nan") if poisoned else step + 1.0)
            update(optimizer, 0.01, ON if poisoned else OFF)
        results.append([p.detach().clone() for p in model.parameters()])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_frozen_parameters_are_left_out_and_the_norm_is_over_all() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(model, OptimizerConfig())
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 2
    model[1].weight.grad.fill_(1.0)
    model[1].bias.grad.fill_(2.0)
    assert gradient_norm(optimizer).item() == pytest.approx((4 + 8) ** 0.5)


def test_schedule_drops_at_the_stated_updates_after_a_linear_warm_up() -> None:
    schedule = ScheduleConfig(drops=(10, 20), factor=0.1, warmup_steps=4)
    rates = [learning_rate(step, 1.0, schedule) for step in (0, 1, 3, 4, 9, 10, 19, 20)]
    assert rates == pytest.approx([0.25, 0.5, 1, 1, 1, 0.1, 0.1, 0.01])
    with pytest.raises(ValueError, match="rise"):
        ScheduleConfig(drops=(20, 10))
