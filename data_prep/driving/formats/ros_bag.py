"""ROS 1 and ROS 2 bags, read without ROS.

    DIR/*.bag               ROS 1: any number of bags, each a drive
    DIR/metadata.yaml       ROS 2: the folder of one bag (.db3 or .mcap); or folders of bags in DIR
    DIR/*.mcap, *.db3       ROS 2 without that file: each file is a drive

Images are topics of sensor_msgs Image or CompressedImage. A topic with left or right in its name is that side
camera, any other is center. Of several of one camera one is taken: colour before depth or infrared, front
before rear, then compressed before raw, then the one with most images; `topic` names another.

Angles come from the first topic whose messages have a field steering_wheel_angle (radians, left positive),
such as /vehicle/steering_report; else from one with steering_angle or steering_tire_angle, which are angles
of the road wheels. Torque and speed are taken from the same messages. Definitions of vendors' messages are in
the bag.

Times are those of the messages' headers, or of their recording where a header has none. Labels are linear
between the two around a frame; a frame that lies outside, or between two more than half a second apart, has
none. A frame's file is `BAG#TOPIC#NUMBER`: nothing is unpacked.

Needs the extra `ros` (`pip install -e ".[ros]"`).
"""

from __future__ import annotations

import re
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
_SUFFIXES = (".bag", ".mcap", ".db3")
# words in the names of topics: images that are no photographs; cameras that look ahead, and those that do not
_NO_COLOUR = {
    "depth", "disparity", "mask", "infra", "infrared", "ir", "thermal", "segmentation", "semantic", "label",
    "labels", "confidence", "lidar", "gray", "mono", "debug", "detections",
}  # fmt: skip
_PLAIN = {"front", "center", "centre", "forward", "middle", "color", "colour", "rgb"}
_BEHIND = {"rear", "back", "backward", "side", "cabin", "driver", "interior"}


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
    if root.is_file():
        return [root] if root.suffix in _SUFFIXES else []
    if (root / "metadata.yaml").is_file():
        return [root]
    entries = sorted(root.iterdir()) if root.is_dir() else []
    bags = [path for path in entries if path.suffix in _SUFFIXES and path.is_file()]
    below = [path for path in entries if path.is_dir()]
    bags = bags or [path for path in below if (path / "metadata.yaml").is_file()]
    return bags or [bag for path in below for bag in sorted([*path.glob("*.mcap"), *path.glob("*.db3")])]


def read(root: Path, topic: str | None = None, labelled: bool = True) -> DriveTable:
    """Returns the frames of all cameras of the bags; a drive is called as its bag.

    Args:
        root: bag, or folder of bags.
        topic: with the images of the only camera to take; by default one topic a camera is chosen.
        labelled: whether a bag without angles is refused.
    """
    bags = _bags(root)
    if not bags:
        raise InputError(f"{root}: no *.bag and no metadata.yaml in this folder, nor *.mcap or *.db3")
    folder = root.parent if bags == [root] else root
    return join_tables([_read_drive(bag, folder, topic, labelled) for bag in bags])


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


def _read_drive(bag: Path, root: Path, topic: str | None, labelled: bool) -> DriveTable:
    below = bag.relative_to(root).as_posix()
    with _opened(bag) as reader:
        cameras, notes = camera_topics(
            bag, [(c.topic, c.msgtype, c.msgcount) for c in reader.connections], topic
        )
        if not cameras:
            raise InputError(f"{bag}: has no topic with images; its topics are {_topics(reader)}")
        labels = _label_topic(reader)
        if labels is None and labelled:
            raise InputError(
                f"{bag}: no topic has messages with a field {', '.join(_ANGLES)}; "
                f"its topics are {_topics(reader)}"
            )
        told = labels.topic if labels else ""
        fields = (labels.angle, labels.torque, labels.speed) if labels else ()
        wanted = [c for c in reader.connections if c.topic in cameras or c.topic == told]
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
                    samples.append([time, *(_field(message, name) for name in fields)])
    if not samples and labelled:
        raise InputError(f"{bag}: {told} holds no messages")
    series = np.array(sorted(samples) or [[np.nan] * 4], np.float64)
    tables: list[DriveTable] = []
    for name, stamps in times.items():
        if not stamps:
            continue
        angle, torque, speed = _between(series, np.array(stamps))
        tables.append(
            DriveTable.build(
                root,
                frame=[str(round(stamp * 1e9)) for stamp in stamps],
                file=[f"{below}#{name}#{number}" for number in range(len(stamps))],
                time_s=stamps,
                angle_rad=angle,
                torque=torque,
                speed_mps=speed,
                camera=cameras[name],
                drive=bag.stem,
                source=bag,
                line=np.arange(len(stamps)),
                notes=[] if tables else notes,
            )
        )
    if not tables:
        raise InputError(f"{bag}: {', '.join(cameras)} hold no images")
    return join_tables(tables)


def _topics(reader: Any) -> str:
    return ", ".join(f"{c.topic} ({c.msgtype})" for c in reader.connections)[:300]


def camera_topics(
    bag: Path, topics: Sequence[tuple[str, str, int]], wanted: str | None = None
) -> tuple[dict[str, str], list[str]]:
    """Returns the topics with images, each with the camera it is, one a camera; and what was chosen of what.

    InputError where no topic with images is called as wanted.

    Args:
        bag: for messages.
        topics: name, type and number of messages of every topic.
        wanted: the only topic to take; it is the centre camera.
    """
    images = {name: (count, kind == IMAGE_TYPES[1]) for name, kind, count in topics if kind in IMAGE_TYPES}
    if wanted is not None:
        if wanted not in images:
            near = f"; it has {', '.join(images)}" if images else ""
            raise InputError(f"{bag}: no topic with images is called {wanted!r}{near}")
        return {wanted: "center"}, []
    most = max((count for count, _ in images.values()), default=0)

    def words_of(name: str) -> set[str]:
        return set(re.split(r"[^a-z]+", re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()))

    def rank(name: str) -> tuple[object, ...]:
        count, is_compressed = images[name]
        words = words_of(name)
        # of two that are about as fast the name decides
        is_slow = count < most / 2
        is_plain = bool(words & _PLAIN) - bool(words & _BEHIND)
        return bool(words & _NO_COLOUR), is_slow, -is_plain, not is_compressed, -count, name

    chosen: dict[str, str] = {}
    for name in sorted(images, key=rank):
        camera = next((side for side in ("left", "right") if side in words_of(name)), "center")
        chosen.setdefault(camera, name)
    notes = []
    # a raw topic beside its compressed one is the same camera
    same = {name.removesuffix("/compressed") for name in chosen.values()}
    others = sorted(set(images) - set(chosen.values()) - same)
    if others:
        taken = ", ".join(f"{name} ({camera})" for camera, name in sorted(chosen.items()))
        notes.append(f"{bag}: images are those of {taken}; there are {', '.join(others)}, too (topic)")
    return {name: camera for camera, name in sorted(chosen.items())}, notes


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
