"""Captions and ids as people write them; every failure one line with file and line."""

from data_prep.image_names import encodable
from modules.errors import InputError


def caption_text(caption: object, where: str) -> str:
    """Returns the caption on one line, spaces collapsed; InputError where it is empty or no text."""
    if caption is None:
        raise InputError(f"{where}: has no caption; write one or remove the line")
    if not isinstance(caption, str):
        raise InputError(f"{where}: the caption is {type(caption).__name__}, not text")
    text = " ".join(encodable(caption, where).split())
    if not text:
        raise InputError(f"{where}: the caption is empty; write one or remove the line")
    return text


def whole_id(value: object) -> object:
    """Returns an image id as a whole number where it is one: pandas writes 42 as 42.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
