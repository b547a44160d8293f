"""PyTorch parts: cells, attention, encoders, decoders, decoding, metrics and the LightningModules over them.

Axis letters in every docstring: B batch, T time or words, L locations, D annotation width, H hidden,
A attention, E embedding, V vocabulary, K beams, C Hh Ww image.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modules.language.text_generator import TextGenerator
    from modules.steering.stream import SteeringPredictor

__all__ = ["SteeringPredictor", "TextGenerator"]


def __getattr__(name: str) -> Any:
    """Imports a class when it is asked for: `import modules` alone needs nothing of what they need."""
    if name == "SteeringPredictor":
        from modules.steering.stream import SteeringPredictor

        return SteeringPredictor
    if name == "TextGenerator":
        from modules.language.text_generator import TextGenerator

        return TextGenerator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
