"""Bags of ROS 1 and 2, written here, are read without ROS: images, a vendor's labels, faults in one line."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.data_prep.driving.driving_folders import numbered, put

pytest.importorskip("rosbags", reason="bags need the extra ros")

from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from data_prep.driving import read_drives, recognise
from data_prep.driving.__main__ import main
from data_prep.driving.formats import ros_bag
from data_prep.driving.formats.frame_folder import frames_of
from data_prep.driving.formats.ros_images import to_rgb
from data_prep.driving.frame_sources import decode_frames
from data_prep.driving.summary import prepared
from modules.errors import InputError

START_S = 1479424215
VENDOR = """std_msgs/Header header
float32 steering_wheel_angle
float32 steering_wheel_cmd
float32 steering_wheel_torque
float32 speed
bool enabled
"""


class Bag:
    """A bag under construction, of ROS 1 or 2."""

    def __init__(self, path: Path, ros: int, plugin: StoragePlugin = StoragePlugin.SQLITE3) -> None:
        self.path, self.ros = path, ros
        self.types = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)
        self.types.register(get_types_from_msg(VENDOR, "dbw_mkz_msgs/msg/SteeringReport"))
        self.writer: Any = Writer1(path) if ros == 1 else Writer2(path, version=9, storage_plugin=plugin)
        self.topics: dict[str, Any] = {}
        self.count = 0

    def __enter__(self) -> "Bag":
        self.writer.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()

    def header(self, time: float | None) -> Any:
        seconds = 0 if time is None else START_S + int(time)
        nanoseconds = 0 if time is None else round(time % 1 * 1e9)
        stamp = self.types.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        given = {"stamp": stamp, "frame_id": "camera"}
        if self.ros == 1:
            given["seq"] = self.count
        return self.types.types["std_msgs/msg/Header"](**given)

    def add(self, topic: str, kind: str, time: float | None, recorded: float, **fields: Any) -> None:
        """Writes a message with a header; without a time its header is empty."""
        if topic not in self.topics:
            self.topics[topic] = self.writer.add_connection(topic, kind, typestore=self.types)
        message = self.types.types[kind](header=self.header(time), **fields)
        serialise = self.types.serialize_ros1 if self.ros == 1 else self.types.serialize_cdr
        stamp = START_S * 10**9 + round(recorded * 1e9)
        self.writer.write(self.topics[topic], stamp, serialise(message, kind))
        self.count += 1

    def report(self, time: float, angle: float) -> None:
        values = {
            "steering_wheel_cmd": 0.0,
            "steering_wheel_torque": -angle,
            "speed": 10 + time,
            "enabled": True,
        }
        kind = "dbw_mkz_msgs/msg/SteeringReport"
        self.add("/vehicle/steering_report", kind, time, time, steering_wheel_angle=angle, **values)

    def raw(self, topic: str, time: float | None, recorded: float, image: np.ndarray, encoding: str) -> None:
        height, width = image.shape[:2]
        step = image[0].nbytes + 2  # rows with something behind their pixels
        data = np.zeros((height, step), np.uint8)
        data[:, :-2] = image.reshape(height, -1)
        size = {"height": height, "width": width, "step": step, "is_bigendian": 0}
        self.add(
            topic, "sensor_msgs/msg/Image", time, recorded, encoding=encoding, data=data.reshape(-1), **size
        )

    def compressed(self, topic: str, time: float, image: np.ndarray, suffix: str = ".png") -> None:
        data = cv2.imencode(suffix, image[:, :, ::-1])[1].reshape(-1)
        self.add(topic, "sensor_msgs/msg/CompressedImage", time, time, format=suffix[1:], data=data)


def write_drive(path: Path, ros: int, frames: int = 12) -> None:
    """Three cameras: compressed in the centre (and raw beside it), raw left; angle 0.1 t rad at 50 Hz."""
    with Bag(path, ros) as bag:
        for n in range(frames):
            time = 0.1 + n / 20
            bag.compressed("/center_camera/image_color/compressed", time, numbered(n))
            bag.raw("/center_camera/image_color", time, time, numbered(150), "rgb8")
            bag.raw("/left_camera/image_color", None, time, numbered(100 + n)[:, :, ::-1], "bgr8")
        for n in range(40):
            bag.report(n / 50, 0.1 * n / 50)


@pytest.mark.parametrize("ros", [1, 2])
def test_a_bag_is_read_without_ros(tmp_path: Path, ros: int) -> None:
    write_drive(tmp_path / ("monday.bag" if ros == 1 else "monday"), ros)
    assert recognise(tmp_path) == "ros"
    table, warnings = prepared(read_drives(tmp_path))
    assert not warnings and set(table.drive) == {"monday"} and len(table) == 24
    center = table.select(table.camera == "center")
    times = 0.1 + np.arange(12) / 20
    np.testing.assert_allclose(center.time_s, START_S + times, atol=1e-6)
    np.testing.assert_allclose(center.angle_rad, 0.1 * times, atol=1e-6)
    np.testing.assert_allclose(center.torque, -0.1 * times, atol=1e-6)
    np.testing.assert_allclose(center.speed_mps, 10 + times, atol=1e-5)
    assert center.frame[0] == str(START_S * 10**9 + 10**8)
    left = table.select(table.camera == "left")  # their headers are empty: the time of recording holds
    np.testing.assert_allclose(left.time_s, START_S + times, atol=1e-6)

    files = [*center.file[[4, 0, 11]], *left.file[[3]]]
    images = dict(decode_frames(tmp_path, files, lambda image: image))
    for place, number in enumerate((4, 0, 11, 103)):
        np.testing.assert_array_equal(images[place], numbered(number))


def test_frames_outside_the_labels_have_none(tmp_path: Path) -> None:
    with Bag(tmp_path / "a.bag", 1) as bag:
        for time in (0.0, 0.5, 1.1, 2.0, 2.5):
            bag.compressed("/camera/compressed", time, numbered(1))
        for time in (0.25, 0.5, 0.75, 1.9, 2.1):
            bag.report(time, 0.5)
    table = ros_bag.read(tmp_path / "a.bag")
    assert table.camera[0] == "center" and table.file[4] == "a.bag#/camera/compressed#4"
    known = ~np.isnan(table.angle_rad)
    assert known.tolist() == [False, True, False, True, False], "0.75 and 1.9 s are too far apart"
    assert np.isnan(table.speed_mps[0])


def test_damaged_images_are_reported_one_by_one(tmp_path: Path) -> None:
    with Bag(tmp_path / "a.bag", 1) as bag:
        bag.compressed("/camera/compressed", 0.0, numbered(1))
        bag.add("/camera/compressed", "sensor_msgs/msg/CompressedImage", 0.1, 0.1, format="jpeg",
                data=np.frombuffer(b"no jpeg", np.uint8))  # fmt: skip
        bag.compressed("/camera/compressed", 0.2, numbered(2), ".jpg")
        bag.report(0.0, 0.1)
    table = ros_bag.read(tmp_path)
    images = dict(decode_frames(tmp_path, [*table.file, "a.bag#/camera/compressed#9"], lambda i: i))
    assert images[1] == "is no image in a known format" and "has no image 9" in images[3]
    np.testing.assert_array_equal(images[0], numbered(1))
    np.testing.assert_allclose(images[2], numbered(2), atol=3)


@pytest.mark.parametrize(
    ("encoding", "make"),
    [
        ("rgb8", lambda rgb: rgb),
        ("bgr8", lambda rgb: rgb[:, :, ::-1]),
        ("rgba8", lambda rgb: np.dstack([rgb, rgb[:, :, :1]])),
        ("bgra8", lambda rgb: np.dstack([rgb[:, :, ::-1], rgb[:, :, :1]])),
        ("bayer_rggb8", lambda rgb: mosaic(rgb, "rggb")),
        ("bayer_bggr8", lambda rgb: mosaic(rgb, "bggr")),
        ("bayer_gbrg8", lambda rgb: mosaic(rgb, "gbrg")),
        ("bayer_grbg8", lambda rgb: mosaic(rgb, "grbg")),
    ],
)
def test_raw_encodings(encoding: str, make: Any) -> None:
    rgb = numbered(60)
    assert to_rgb(raw(make(rgb), encoding), "a").shape == rgb.shape
    np.testing.assert_allclose(to_rgb(raw(make(rgb), encoding), "a"), rgb, atol=1)


def test_grey_yuv_and_unknown_encodings() -> None:
    grey = np.full((4, 6, 1), 77, np.uint8)
    np.testing.assert_array_equal(to_rgb(raw(grey, "mono8"), "a"), np.full((4, 6, 3), 77))
    uyvy = np.tile(np.array([128, 77], np.uint8), (4, 6, 1))  # no colour: U and V are 128
    np.testing.assert_allclose(to_rgb(raw(uyvy, "yuv422"), "a"), (77 - 16) * 255 / 219, atol=1)
    np.testing.assert_allclose(
        to_rgb(raw(uyvy[:, :, ::-1], "yuv422_yuy2"), "a"), (77 - 16) * 255 / 219, atol=1
    )
    assert "has encoding '32FC1'; known are rgb8" in to_rgb(raw(grey, "32FC1"), "a")
    assert "too few for 4 rows of 6 pixels" in to_rgb(raw(grey, "rgb8"), "a")


def raw(image: np.ndarray, encoding: str) -> Any:
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).reshape(-1)
    return SimpleNamespace(encoding=encoding, height=height, width=width, step=image[0].nbytes, data=data)


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    planes = np.zeros(rgb.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        planes[place // 2 :: 2, place % 2 :: 2] = rgb[place // 2 :: 2, place % 2 :: 2, "rgb".index(colour)]
    return planes[:, :, None]


@pytest.mark.parametrize(
    ("topics", "chosen"),
    [
        ({"/back_camera/image": 20, "/front_camera/image": 20}, "/front_camera/image"),
        ({"/back_camera/compressed": 20, "/front_camera/image": 20}, "/front_camera/image"),
        ({"/camera/aligned_depth/image": 30, "/camera/color/image": 30}, "/camera/color/image"),
        ({"/a/infra1/image": 90, "/zed/rgb/image": 30}, "/zed/rgb/image"),
        ({"/a/image": 1, "/b/image": 20}, "/b/image"),
        ({"/debug/image": 20, "/usb_cam/image": 20}, "/usb_cam/image"),
        ({"/cam/image/compressedDepth": 20, "/cam/image_raw": 20}, "/cam/image_raw"),
        ({"/rear/image": 20}, "/rear/image"),
        ({"/cam/brightness/image": 100}, "/cam/brightness/image"),  # no right camera
    ],
)
def test_the_camera_is_chosen_by_name_type_and_rate_and_said(topics: dict[str, int], chosen: str) -> None:
    kinds = ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"]
    given = [(name, kinds["ompressed" in name], count) for name, count in topics.items()]
    for order in (given, given[::-1]):
        found, notes = ros_bag.camera_topics(Path("a.bag"), order)
        assert found == {chosen: "center"}
        others = ", ".join(sorted(set(topics) - {chosen}))
        said = [f"a.bag: images are those of {chosen} (center); there are {others}, too (topic)"]
        assert notes == (said if others else [])
    other = next(iter(topics))
    assert ros_bag.camera_topics(Path("a.bag"), given, other) == ({other: "center"}, [])
    with pytest.raises(InputError, match=r"a.bag: no topic with images is called '/no'; it has /"):
        ros_bag.camera_topics(Path("a.bag"), given, "/no")


@pytest.mark.parametrize("form", ["lone.mcap", "folder of .mcap", "lone.db3"])
def test_ros_2_without_metadata(tmp_path: Path, form: str) -> None:
    with Bag(tmp_path / "monday", 2, StoragePlugin.SQLITE3 if "db3" in form else StoragePlugin.MCAP) as bag:
        for n in range(6):
            bag.compressed("/camera/compressed", n / 20, numbered(n))
            bag.report(n / 20, 0.1)
    (tmp_path / "monday/metadata.yaml").unlink()
    path = next(entry for entry in (tmp_path / "monday").iterdir())
    for root in [path] if "lone" in form else [tmp_path, tmp_path / "monday"]:
        assert recognise(root) == "ros"
        table, warnings = prepared(read_drives(root))
        assert len(table) == 6 and not warnings and set(table.drive) == {path.stem}
        images = dict(decode_frames(table.root, table.file.tolist(), lambda image: image))
        np.testing.assert_array_equal(images[4], numbered(4))


def test_a_bag_without_angles_can_be_predicted(tmp_path: Path) -> None:
    with Bag(tmp_path / "a.bag", 1) as bag:
        for n in range(5):
            bag.raw("/front/image", n / 20, n / 20, numbered(n), "rgb8")
            bag.raw("/rear/image", n / 20, n / 20, numbered(50 + n), "rgb8")
    table, notes = frames_of(tmp_path)
    assert len(table) == 5 and np.isnan(table.angle_rad).all() and table.file[0] == "a.bag#/front/image#0"
    assert main([str(tmp_path)]) == 0 and len(notes) == 1 and "/rear/image, too (topic)" in notes[0]
    other, notes = frames_of(tmp_path / "a.bag", topic="/rear/image")
    assert other.file[0] == "a.bag#/rear/image#0" and not notes
    put(tmp_path, "b/1.png")
    with pytest.raises(InputError, match=r"only bags \(ros\) have topics"):
        frames_of(tmp_path / "b", topic="/rear/image")


@pytest.mark.parametrize("big_endian", [0, 1])
def test_two_bytes_a_value(big_endian: int) -> None:
    kind = ">u2" if big_endian else "<u2"
    wide = (numbered(60).astype(np.uint16) * 256 + 7).astype(kind)
    for encoding, image, expected in (
        ("rgb16", wide, numbered(60)),
        ("bgr16", wide[:, :, ::-1], numbered(60)),
        ("mono16", wide[:, :, :1], np.full_like(numbered(60), 60)),
    ):
        message = raw(np.ascontiguousarray(image).view(np.uint8), encoding)
        message.is_bigendian, message.width = big_endian, wide.shape[1]
        np.testing.assert_array_equal(to_rgb(message, "a"), expected)


# ---------------------------------------------------------------------------------------------------- faults


def test_bags_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*.bag and no metadata.yaml"):
        ros_bag.read(tmp_path)
    put(tmp_path, "no/a.bag", "this is no bag")
    with pytest.raises(InputError, match=r"a.bag: the bag cannot be read") as caught:
        ros_bag.read(tmp_path / "no")
    assert "\n" not in str(caught.value)
    put(tmp_path, "empty/a.bag")
    with pytest.raises(InputError, match=r"a.bag: the bag cannot be read"):
        ros_bag.read(tmp_path / "empty")
    put(tmp_path, "two/metadata.yaml", "rosbag2_bagfile_information: [")
    with pytest.raises(InputError, match=r"two: the bag cannot be read"):
        ros_bag.read(tmp_path / "two")

    with Bag(tmp_path / "labels.bag", 1) as bag:
        bag.report(0.0, 0.1)
    with pytest.raises(InputError, match=r"labels.bag: has no topic with images; its topics are /vehicle"):
        ros_bag.read(tmp_path / "labels.bag")
    with Bag(tmp_path / "images.bag", 1) as bag:
        bag.compressed("/camera/compressed", 0.0, numbered(1))
    with pytest.raises(
        InputError, match=r"images.bag: no topic has messages with a field steering_wheel_angle"
    ):
        ros_bag.read(tmp_path / "images.bag")


def test_a_bag_that_was_cut_off(tmp_path: Path) -> None:
    write_drive(tmp_path / "a.bag", 1)
    os.truncate(tmp_path / "a.bag", (tmp_path / "a.bag").stat().st_size // 2)
    with pytest.raises(InputError, match=r"a.bag: the bag cannot be read"):
        ros_bag.read(tmp_path)


def test_a_bag_with_damage_inside(tmp_path: Path) -> None:
    write_drive(tmp_path / "a.bag", 1)
    data = bytearray((tmp_path / "a.bag").read_bytes())
    random = np.random.default_rng(0)
    failures = 0
    for _ in range(12):
        damaged = bytearray(data)
        for place in random.integers(len(data), size=6):
            damaged[place] = random.integers(256)
        put(tmp_path, "a.bag", bytes(damaged))
        try:
            table = ros_bag.read(tmp_path)
            list(decode_frames(tmp_path, list(table.file), lambda image: image))
        except InputError as error:  # anything else fails the test
            assert str(error).startswith(f"{tmp_path / 'a.bag'}: ") and "\n" not in str(error)
            failures += 1
    assert failures > 3


def test_the_command_on_a_bag(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_drive(tmp_path / "a.bag", 1)
    assert main([str(tmp_path / "a.bag"), "--output", str(tmp_path / "drive.csv")]) == 0
    assert "wrote 24 frames" in capsys.readouterr().out
    again = read_drives(tmp_path)
    assert recognise(tmp_path) == "drive" and again.file[0].startswith("a.bag#/center_camera")


def test_without_rosbags_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.bag", "x")
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    with pytest.raises(InputError, match=r'a.bag: bags need the package rosbags: pip install -e "\.\[ros\]"'):
        ros_bag.read(tmp_path)
