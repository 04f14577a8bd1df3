"""Evaluation. Its last step, NMS, is an operator of torchvision, so whether these work here is found out first."""

from pdsl.environment import check_torchvision

check_torchvision()
