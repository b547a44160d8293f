"""Drives on drawn roads: what the driver did and what the camera saw, and both as files."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from data_prep.driving.road.camera import Camera
from data_prep.driving.road.driver import GUST_EVERY_S, Drive, drive
from data_prep.driving.road.scene import START_M, Road, draw_road, road_seed
from data_prep.driving.road.vehicle import RATE_HZ
from data_prep.driving.road.view import RoadView, logged_pose
from data_prep.driving.table import DriveTable
from data_prep.progress import tracked

FRAMES = "frames"
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


def draw_roads(
    count: int, seconds: float, split: str = "test", seed: int = 0, progress: bool = False
) -> list[Road]:
    """Returns roads to drive on, by default such as were never seen in training.

    Args:
        count: how many.
        seconds: how long each is driven on.
        split: train, val or test.
        seed: of the whole set, from 0 to 999.
        progress: whether to show a bar.
    """
    numbers = tracked(range(count), "drawing roads", visible=progress)
    return [draw_road(road_seed(split, number, seed), seconds) for number in numbers]


def drive_road(road: Road, seconds: float, gust_every_s: float = GUST_EVERY_S) -> Drive:
    """Returns the log of the human-like driver on a road, who follows from the road's seed."""
    rng = np.random.default_rng([road.seed, 5])
    frames = round(seconds * RATE_HZ)
    return drive(road.course, road.lane_m, road.speeds_mps, frames, START_M, rng, gust_every_s)


def drive_frames(road: Road, log: Drive, camera: Camera | None = None) -> Iterator[np.ndarray]:
    """Yields what the camera saw on a drive, frame by frame: (Hh, Ww, 3), uint8, RGB."""
    view = RoadView(road, camera)
    for row in range(len(log)):
        yield view.draw(logged_pose(road.course, log, row, view.camera), float(log.time_s[row]))


def draw_drive(job: tuple[Path, str, int, float, float]) -> DriveTable:
    """Returns the table of one drive, whose frames it wrote.

    Args:
        job: folder of the data set, name of the drive, seed of its road, seconds, time of its first frame.
    """
    folder, name, seed, seconds, begins_s = job
    cv2.setNumThreads(1)
    road = draw_road(seed, seconds)
    log = drive_road(road, seconds)
    files = [f"{FRAMES}/{name}/{name}_{row:05d}.jpg" for row in range(len(log))]
    (folder / FRAMES / name).mkdir(parents=True)
    for file, frame in zip(files, drive_frames(road, log), strict=True):
        _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _JPEG)
        (folder / file).write_bytes(data.tobytes())
    return DriveTable.build(
        folder,
        file=files,
        time_s=np.round(begins_s + log.time_s, 3),
        angle_rad=np.round(log.angle_rad, 5),
        torque=np.round(log.torque, 3),
        speed_mps=np.round(log.speed_mps, 3),
        drive=name,
    )
