"""The model. Its modules import torchvision's operators, so whether these work here is found out first."""

from pdsl.environment import check_torchvision

check_torchvision()
