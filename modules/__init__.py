"""PyTorch parts: cells, attention, encoders, decoders, decoding, metrics and the LightningModules over them.

Four classes use a trained model from Python, one a task: `Captioner`, `SteeringPredictor`,
`TextGenerator` and `NumberReader`. Whatever a caller can get wrong raises `InputError`.

Axis letters in every docstring: B batch, T time or words, L locations, D annotation width, H hidden,
A attention, E embedding, V vocabulary, K beams, C Hh Ww image.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modules.errors import InputError

if TYPE_CHECKING:
    from modules.captioning.captioner import Captioner
    from modules.house_numbers.number_reader import NumberReader
    from modules.language.text_generator import TextGenerator
    from modules.steering.stream import SteeringPredictor

__all__ = ["Captioner", "InputError", "NumberReader", "SteeringPredictor", "TextGenerator"]

_HOMES = {
    "Captioner": "modules.captioning.captioner",
    "NumberReader": "modules.house_numbers.number_reader",
    "SteeringPredictor": "modules.steering.stream",
    "TextGenerator": "modules.language.text_generator",
}


def __getattr__(name: str) -> Any:
    """Imports a public class when it is asked for: `import modules` alone needs nothing of what they need."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
