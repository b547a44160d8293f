"""Answers what Udacity's simulator sends: a camera frame and a speed become a steering angle and a throttle.

The simulator's client speaks socket.io of 2015 over a websocket. It asks for EIO=4 in its address and means
protocol 3, which python-socketio 4.6 with python-engineio 3.13 speaks; newer ones refuse it. It sends

    telemetry {"steering_angle": "0.0", "throttle": "0.1", "speed": "9.02", "image": BASE64 OF A JPEG}

when it has connected and after each answer, as fast as it is answered, and without any data while somebody
drives by hand. It expects `steer` with numbers written as text, or `manual`. Steering goes from -1 to 1,
right positive; the speed is in miles an hour.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import socketio
from PIL import Image

from modules.errors import tell
from modules.images import UnreadableImage, decode_image
from modules.steering.ensemble import SteeringEnsemble
from modules.steering.steerer import Steerer
from modules.steering.units import AngleUnit

Application = Callable[[Any, Any, Any], Awaitable[None]]

LARGEST = 4 * 2**20  # characters of a message: a frame of the simulator has some 20,000
_MOST_PIXELS = 2**22
_FORGET_S = 1.0  # without a frame for so long, what was seen before says nothing
_GAIN, _GAIN_S, _MOST_SUM = 0.15, 0.02, 40.0  # throttle a mile an hour too slow, and of their sum over time
_LONGEST_S = 0.1  # that one frame adds to the sum
_SLOWER = 0.5  # share of the speed that is left at full lock


class SpeedController:
    """A throttle that keeps a speed, less of it in curves: proportional and integral.

    Args:
        target_mph: Miles an hour on a straight.
    """

    def __init__(self, target_mph: float) -> None:
        self.target_mph, self._sum = target_mph, 0.0

    def throttle(self, speed_mph: float, steering: float, passed_s: float = _LONGEST_S) -> float:
        """Returns the throttle, from -1 (brake) to 1.

        Args:
            speed_mph: Of the car.
            steering: From -1 to 1.
            passed_s: Time since the call before.
        """
        missing = self.target_mph * (1 - _SLOWER * min(1.0, abs(steering))) - speed_mph
        wanted = _GAIN * missing + _GAIN_S * self._sum
        if abs(wanted) < 1:  # at full throttle a sum would only grow
            self._sum = float(np.clip(self._sum + missing * min(passed_s, _LONGEST_S), -_MOST_SUM, _MOST_SUM))
        return float(np.clip(wanted, -1.0, 1.0))


class TelemetryDriver:
    """Drives one car of the simulator.

    Models with a memory count frames, not seconds, and the simulator sends as many as are answered. So they
    are shown one as often as in training, and between these their steering stays.

    Args:
        models: Whose mean angle counts.
        unit: Of their angles: a share of full lock.
        speed_mph: To keep.
    """

    def __init__(self, models: Sequence[Steerer], unit: AngleUnit, speed_mph: float) -> None:
        self.ensemble, self.unit = SteeringEnsemble(models), unit
        self.speed = SpeedController(speed_mph)
        rates = [model.rate_hz for model in models if model.has_memory and model.rate_hz is not None]
        self._period_s = 1 / min(rates) if rates else 0.0
        self._last = self._due = -math.inf  # when the last frame came, and when models are shown one again
        self._steering = 0.0

    def answer(self, data: Any) -> tuple[str, dict[str, str], str]:
        """Returns the event to send, its data, and what was wrong with the message, or nothing.

        Args:
            data: Of a `telemetry` event, whatever it is.
        """
        if not data:  # somebody drives by hand, and frames are missing
            self._forget()
            return "manual", {}, ""
        try:
            image = _image(data)
        except ValueError as error:
            self._forget()
            return "manual", {}, str(error)
        now = time.monotonic()
        passed_s, self._last = now - self._last, now
        if passed_s > _FORGET_S:
            self._forget()
        if now >= self._due:
            angle = float(self.ensemble.step(image[np.newaxis])[0][0])
            if not math.isfinite(angle):
                self._forget()
                return "manual", {}, "the model says an angle that is no number"
            self._steering = float(np.clip(-angle / self.unit.full_lock, -1.0, 1.0))
            # by the clock, so that no frame's delay adds up
            self._due = (self._due if now - self._due < self._period_s else now) + self._period_s
        speed_mph = _number(data.get("speed"), self.speed.target_mph)
        throttle = self.speed.throttle(speed_mph, self._steering, passed_s)
        # the simulator reads numbers from text alone
        return "steer", {"steering_angle": f"{self._steering:.6f}", "throttle": f"{throttle:.6f}"}, ""

    def _forget(self) -> None:
        self.ensemble.reset()
        self._due = -math.inf


def _image(data: Any) -> np.ndarray:
    """Returns the frame of a message (Hh, Ww, 3); ValueError says in words why there is none."""
    if not isinstance(data, dict):
        raise ValueError(f"telemetry is a {type(data).__name__}; names and values are needed")
    text = data.get("image")
    if not isinstance(text, str) or not text:
        raise ValueError("telemetry has no image")
    if len(text) > LARGEST:
        raise ValueError(f"the image has more than {LARGEST // 2**20} MB")
    try:
        picture = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("the image is not in base64") from None
    try:
        with Image.open(io.BytesIO(picture)) as opened:
            width, height = opened.size
    except Exception:  # Pillow raises whatever comes up in what is none
        raise ValueError("the image is no picture") from None
    if width * height > _MOST_PIXELS:
        raise ValueError(f"the image has {width}x{height} pixels")
    try:
        return decode_image(picture, "the image")
    except UnreadableImage as error:  # also one that is cut short: half a road misleads
        raise ValueError(str(error)) from None


def _number(value: Any, otherwise: float) -> float:
    """Returns a number as the simulator writes it, in some languages with a decimal comma."""
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return otherwise
    return number if math.isfinite(number) else otherwise


class _Manager(socketio.AsyncManager):
    """Sends to one client. The library's own way is refused from Python 3.11 on."""

    async def emit(
        self, event: str, data: Any, namespace: str, room: str | None = None, *_: Any, **__: Any
    ) -> None:
        await self.server._emit_internal(room, event, data, namespace)


def application(models: Sequence[Steerer], unit: AngleUnit, speed_mph: float) -> Application:
    """Returns the server's application; each client has a driver of its own.

    Args:
        models: Whose mean angle counts, ready to steer.
        unit: Of their angles.
        speed_mph: To keep.
    """
    silent = logging.getLogger("seqsight.telemetry")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False  # what is malformed would come as a traceback
    server = socketio.AsyncServer(_Manager(), logger=silent, async_mode="asgi", engineio_logger=silent)
    drivers: dict[str, TelemetryDriver] = {}
    said: set[str] = set()  # complaints come with every frame, and are printed once

    def complain(line: str) -> None:
        if line not in said and len(said) < 100:
            said.add(line)
            tell(f"note: {line}; answered with manual")

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        drivers[sid] = TelemetryDriver(models, unit, speed_mph)
        print("the simulator is connected", flush=True)

    @server.event
    async def disconnect(sid: str) -> None:
        drivers.pop(sid, None)
        print("the simulator is gone", flush=True)

    @server.event
    async def telemetry(sid: str, data: Any = None, *more: Any) -> None:
        driver = drivers.get(sid)
        if driver is None:
            return
        try:
            # in a thread: pings are answered meanwhile
            event, values, wrong = await asyncio.get_running_loop().run_in_executor(None, driver.answer, data)
        except Exception as error:  # the server stays up whatever it is sent
            wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            event, values = "manual", {}
        if wrong:
            complain(wrong)
        await server.emit(event, values, room=sid)

    answers = socketio.ASGIApp(server)

    async def websockets_alone(scope: Any, receive: Any, send: Any) -> None:
        # the other transport would take a request of any size
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"the simulator's websocket alone\n"})
        else:
            await answers(scope, receive, send)

    return websockets_alone
