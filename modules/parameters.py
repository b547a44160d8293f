"""How large a network is; apart from training, so that an encoder alone loads without Lightning."""

from torch import nn


def parameters_of(network: nn.Module) -> int:
    """Returns how many numbers a network has learnt."""
    return sum(parameter.numel() for parameter in network.parameters())
