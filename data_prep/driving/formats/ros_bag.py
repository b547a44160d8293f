"""ROS 1 and ROS 2 bags, read without ROS.

    DIR/*.bag               ROS 1: any number of bags, each a drive
    DIR/metadata.yaml       ROS 2: the folder of one bag (.db3 or .mcap); or folders of bags in DIR

Images are all topics of sensor_msgs Image or CompressedImage; of a camera that has both, the compressed one.
A topic with left or right in its name is that side camera, any other is center. Angles come from the first
topic whose messages have a field steering_wheel_angle (radians, left positive), such as
/vehicle/steering_report; else from one with steering_angle or steering_tire_angle, which are angles of the
road wheels. Torque and speed are taken from the same messages. Definitions of vendors' messages are in the
bag.

Times are those of the messages' headers, or of their recording where a header has none. Labels are linear
between the two around a frame; a frame that lies outside, or between two more than half a second apart, has
none. A frame's file is `BAG#TOPIC#NUMBER`: nothing is unpacked.

Needs the extra `ros` (`pip install -e ".[ros]"`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.driving.formats.ros_images import IMAGE_TYPES, to_rgb
from data_prep.driving.table import DriveTable, join_tables
from data_prep.progress import counting_bar
from modules.errors import InputError

# what the fields of a label are called, in the order in which they are looked for
_ANGLES = ("steering_wheel_angle", "steering_angle", "steering_tire_angle")
_TORQUES = ("steering_wheel_torque", "torque")
_SPEEDS = ("speed", "speed_mps", "velocity")
_NESTED = ("", "drive.", "lateral.")  # AckermannDriveStamped and Autoware keep theirs one level down
_LONGEST_GAP_S = 0.5


@dataclass(frozen=True)
class LabelTopic:
    """Where a bag's labels are; torque and speed are empty where its messages have none.

    Args:
        topic: name of the topic.
        angle: dotted name of the field with the angle.
        torque: that with the torque.
        speed: that with the speed.
    """

    topic: str
    angle: str
    torque: str
    speed: str


def recognises(root: Path) -> bool:
    """Returns whether the path is a bag, or a folder of bags."""
    return bool(_bags(root))


def _bags(root: Path) -> list[Path]:
    if root.suffix == ".bag" and root.is_file():
        return [root]
    if (root / "metadata.yaml").is_file():
        return [root]
    bags = [path for path in sorted(root.glob("*.bag")) if path.is_file()]
    return bags or [path.parent for path in sorted(root.glob("*/metadata.yaml"))]


def read(root: Path) -> DriveTable:
    """Returns the frames of all cameras of the bags; a drive is called as its bag."""
    bags = _bags(root)
    if not bags:
        raise InputError(f"{root}: no *.bag and no metadata.yaml in this folder")
    folder = root.parent if bags == [root] else root
    return join_tables([_read_drive(bag, folder) for bag in bags])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yields the reader of a bag; whatever is wrong with the bag is an InputError."""
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise InputError(f'{path}: bags need the package rosbags: pip install -e ".[ros]"') from None
    try:
        # old ROS 2 bags hold no definitions: then those of the standard messages are taken
        with AnyReader([path], default_typestore=get_typestore(Stores.LATEST)) as reader:
            yield reader
    except InputError:
        raise
    except Exception as error:
        # damaged bags make the reader raise whatever comes up: AssertionError, KeyError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: the bag cannot be read, or is damaged ({reason[:200]})") from None


def _read_drive(bag: Path, root: Path) -> DriveTable:
    below = bag.relative_to(root).as_posix()
    with _opened(bag) as reader:
        cameras = _camera_topics(reader)
        if not cameras:
            raise InputError(f"{bag}: has no topic with images; its topics are {_topics(reader)}")
        labels = _label_topic(reader)
        if labels is None:
            raise InputError(
                f"{bag}: no topic has messages with a field {', '.join(_ANGLES)}; "
                f"its topics are {_topics(reader)}"
            )
        wanted = [c for c in reader.connections if c.topic in cameras or c.topic == labels.topic]
        times: dict[str, list[float]] = {topic: [] for topic in cameras}
        samples: list[list[float]] = []
        count = sum(connection.msgcount for connection in wanted)
        with counting_bar("frames", count > 2000) as bar:
            task = bar.add_task(f"reading {bag.name}", total=count)
            for connection, recorded, raw in reader.messages(connections=wanted):
                bar.advance(task)
                # of an image only the header is looked at, but every field has to be unpacked
                message = reader.deserialize(raw, connection.msgtype)
                time = _time(message, recorded)
                if connection.topic in cameras:
                    times[connection.topic].append(time)
                else:
                    fields = (labels.angle, labels.torque, labels.speed)
                    samples.append([time, *(_field(message, name) for name in fields)])
    if not samples:
        raise InputError(f"{bag}: {labels.topic} holds no messages")
    series = np.array(sorted(samples), np.float64)
    tables = []
    for topic, stamps in times.items():
        if not stamps:
            continue
        angle, torque, speed = _between(series, np.array(stamps))
        tables.append(
            DriveTable.build(
                root,
                frame=[str(round(stamp * 1e9)) for stamp in stamps],
                file=[f"{below}#{topic}#{number}" for number in range(len(stamps))],
                time_s=stamps,
                angle_rad=angle,
                torque=torque,
                speed_mps=speed,
                camera=cameras[topic],
                drive=bag.stem,
                source=bag,
                line=np.arange(len(stamps)),
            )
        )
    if not tables:
        raise InputError(f"{bag}: {', '.join(cameras)} hold no images")
    return join_tables(tables)


def _topics(reader: Any) -> str:
    return ", ".join(f"{c.topic} ({c.msgtype})" for c in reader.connections)[:300]


def _camera_topics(reader: Any) -> dict[str, str]:
    """Returns the topics with images, each with the camera it is; one topic a camera."""
    chosen: dict[str, str] = {}
    # compressed ones first: their names end in /compressed, their types in CompressedImage
    images = sorted(
        {(c.msgtype != IMAGE_TYPES[1], c.topic) for c in reader.connections if c.msgtype in IMAGE_TYPES}
    )
    for _, topic in images:
        camera = next((side for side in ("left", "right") if side in topic.lower()), "center")
        chosen.setdefault(camera, topic)
    return {topic: camera for camera, topic in sorted(chosen.items())}


def _label_topic(reader: Any) -> LabelTopic | None:
    """Returns the topic whose messages have an angle, the wheel's before the road wheels'."""
    for angle in _ANGLES:
        for connection in sorted(reader.connections, key=lambda connection: connection.topic):
            if connection.msgtype in IMAGE_TYPES:
                continue
            for lead in _NESTED:
                fields = _fields(reader, connection.msgtype, lead)
                if angle in fields:
                    torque = next((lead + name for name in _TORQUES if name in fields), "")
                    speed = next((lead + name for name in _SPEEDS if name in fields), "")
                    return LabelTopic(connection.topic, lead + angle, torque, speed)
    return None


def _fields(reader: Any, type_name: str, lead: str) -> list[str]:
    """Returns the names of a message's fields, or of the fields of the message in its field `lead`."""
    definitions = reader.typestore.fielddefs
    fields = dict(definitions[type_name][1]) if type_name in definitions else {}
    if lead:
        kind, inner = fields.get(lead.removesuffix("."), (None, None))
        is_message = kind is not None and isinstance(inner, str) and inner in definitions
        fields = dict(definitions[inner][1]) if is_message else {}
    return list(fields)


def _time(message: Any, recorded_ns: int) -> float:
    header = getattr(message, "header", None)
    stamp = getattr(header, "stamp", None)
    if stamp is not None and stamp.sec > 0:
        return float(stamp.sec) + stamp.nanosec / 1e9
    return recorded_ns / 1e9


def _field(message: Any, name: str) -> float:
    if not name:
        return float("nan")
    for part in name.split("."):
        message = getattr(message, part)
    return float(message)


def _between(series: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns angle, torque and speed at times, linear between samples (M, 4) that begin with theirs."""
    after = np.searchsorted(series[:, 0], times)
    before = np.maximum(after - 1, 0)
    inside = np.minimum(after, len(series) - 1)
    apart = series[inside, 0] - series[before, 0]
    exact = series[inside, 0] == times
    unknown = ~exact & ((after == 0) | (after == len(series)) | (apart > _LONGEST_GAP_S))
    values = (np.interp(times, series[:, 0], series[:, column]) for column in (1, 2, 3))
    angle, torque, speed = (np.where(unknown, np.nan, value) for value in values)
    return angle, torque, speed


def frames(path: Path, topic: str, numbers: Sequence[int]) -> Iterator[np.ndarray | str]:
    """Yields the images of these ascending numbers as (Hh, Ww, 3) RGB bytes, or why one cannot be read."""
    with _opened(path) as reader:
        connections = [connection for connection in reader.connections if connection.topic == topic]
        if not connections:
            raise InputError(f"{path}: has no topic {topic}")
        messages = reader.messages(connections=connections)
        at = 0  # the image that comes next
        for number in numbers:
            found = next(islice(messages, number - at, None), None)
            if found is None:
                yield f"{topic} has no image {number}"
                continue
            at = number + 1
            connection, _, raw = found
            yield to_rgb(reader.deserialize(raw, connection.msgtype), f"{topic} {number}")
