"""Images in ROS messages: compressed ones, and raw ones in the encodings that cameras send."""

from typing import Any

import cv2
import numpy as np

from modules.images import UnreadableImage, decode_image

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

# encoding -> channels, and what makes them RGB (None: they are)
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "8uc3": (3, cv2.COLOR_BGR2RGB),  # OpenCV's order
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8uc1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
}

# the same with two bytes a value; 16uc1 is none of them: it is depth
_WIDE = {"mono16", "rgb16", "bgr16", "rgba16", "bgra16",
         "bayer_rggb16", "bayer_bggr16", "bayer_gbrg16", "bayer_grbg16"}  # fmt: skip


def to_rgb(message: Any, name: str) -> np.ndarray | str:
    """Returns the image of a message as (Hh, Ww, 3) RGB bytes, or why it cannot be read.

    Args:
        message: sensor_msgs Image or CompressedImage.
        name: what the image is called in the reason.
    """
    data = np.asarray(message.data, np.uint8)
    if not hasattr(message, "encoding"):
        try:
            return decode_image(data.tobytes(), name)
        except UnreadableImage as error:
            return error.reason
    encoding = message.encoding.lower()
    is_wide = encoding in _WIDE
    known = _ENCODINGS.get(encoding.replace("16", "8") if is_wide else encoding)
    if known is None:
        return f"has encoding {message.encoding!r}; known are {', '.join([*_ENCODINGS, *sorted(_WIDE)])}"
    channels, conversion = known
    depth = 2 if is_wide else 1
    height, width, step = int(message.height), int(message.width), int(message.step)
    if not height or not width or step < width * channels * depth or len(data) < height * step:
        return f"holds {len(data)} bytes, too few for {height} rows of {width} pixels"
    # a row may be longer than its pixels
    rows = data[: height * step].reshape(height, step)[:, : width * channels * depth]
    if is_wide:  # the upper byte: full scale stays full scale, as with cv_bridge
        rows = rows[:, 0 if message.is_bigendian else 1 :: 2]
    image = np.ascontiguousarray(rows).reshape(height, width, channels)
    return image if conversion is None else cv2.cvtColor(image, conversion)
