"""The family of caption decoders, by the name that `model.decoder.kind` chooses."""

from modules.decoders.adaptive import AdaptiveDecoder
from modules.decoders.att2in import Att2inDecoder
from modules.decoders.caption_decoder import CaptionDecoder, DecoderOptions
from modules.decoders.show_and_tell import ShowAndTellDecoder
from modules.decoders.show_attend_tell import ShowAttendTellDecoder
from modules.decoders.top_down import TopDownDecoder

__all__ = ["DECODERS", "CaptionDecoder", "DecoderOptions"]

DECODERS: dict[str, type[CaptionDecoder]] = {
    "show_attend_tell": ShowAttendTellDecoder,
    "show_and_tell": ShowAndTellDecoder,
    "adaptive": AdaptiveDecoder,
    "att2in": Att2inDecoder,
    "top_down": TopDownDecoder,
}
