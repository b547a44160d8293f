"""`steer.py simulator` from the wire: a client as Udacity's simulator has it, and what else may connect."""

import json
import socket
import sys
import threading
from contextlib import ExitStack

import pytest
import torch
import uvicorn
import websocket

from modules.steering.units import unit_of
from pipelines.running.listening import LOOPBACK, listen
from pipelines.steer import main
from pipelines.steering.loop.telemetry import application
from tests.modules.steering.steering_models import steerer
from tests.pipelines.steering.loop.test_telemetry import FRAME


@pytest.fixture(scope="module")
def server():
    """The port of a server as the command starts it."""
    with listen(0) as listening:
        app = application([steerer("komanda")], unit_of("simulator"), 15.0)
        config = uvicorn.Config(app, log_level="critical", access_log=False, ws="wsproto", ws_max_size=2**23)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join(20)


class Simulator:
    """Speaks as the simulator's client: EIO=4 in the address, protocol 3 on the wire."""

    def __init__(self, port: int, **options):
        address = f"ws://{LOOPBACK}:{port}/socket.io/?EIO=4&transport=websocket"
        self.socket = websocket.create_connection(address, timeout=30, **options)
        assert self.socket.recv().startswith("0{")  # open, with the name of the session
        assert self.socket.recv() == "40"  # connected, without being asked

    def telemetry(self, data) -> None:
        self.socket.send("42" + json.dumps(["telemetry", data]))

    def answer(self):
        found = self.socket.recv()
        assert found.startswith("42"), found
        return json.loads(found[2:])


@pytest.fixture
def connect(server):
    """Returns a function that connects a simulator, which is closed at the end."""
    with ExitStack() as opened:

        def connected(**options) -> Simulator:
            car = Simulator(server, **options)
            opened.callback(car.socket.shutdown)  # `close` leaves the socket of a client that was hung up on
            opened.callback(car.socket.close)
            return car

        yield connected


def test_telemetry_is_answered_until_the_simulator_leaves(connect, capfd):
    car = connect()
    for _ in range(3):
        car.telemetry({"steering_angle": "0.0000", "throttle": "0.0000", "speed": "0.4", "image": FRAME})
        event, values = car.answer()
        assert event == "steer" and set(values) == {"steering_angle", "throttle"}
        assert -1 <= float(values["steering_angle"]) <= 1 and float(values["throttle"]) > 0.5
    car.telemetry(None)  # as `new JSONObject()` prints itself: somebody drives by hand
    assert car.answer() == ["manual", {}]
    car.socket.send("2")
    assert car.socket.recv() == "3"  # ping, pong
    car.socket.close()
    assert "the simulator is connected" in capfd.readouterr().out


def test_whatever_is_sent_the_next_frame_is_answered(connect, capfd):
    car = connect()
    for data in ({}, {"image": "%%%"}, {"image": FRAME[:400]}, [], "x" * 100_000, {"image": {"image": 1}}):
        car.telemetry(data)
        assert car.answer() == ["manual", {}]
    for raw in (
        "42",
        "42[",
        '42["telemetry"',
        "42{}",
        "42[]",
        '42["other",1]',
        "4",
        "",
        "9",
        "45-x",
        "4é",
        "42[1]",
    ):
        other = connect()
        other.socket.send(raw)
        other.socket.close()
    other = connect()
    other.socket.send_binary(b"\x04\xff\xfe")
    car.telemetry({"image": FRAME, "speed": "3"})
    assert car.answer()[0] == "steer"
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err and "not in base64; answered with manual" in err


def test_other_origins_other_transports_and_too_much_are_refused(server, connect):
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(origin="http://elsewhere.example")
    for request in (
        b"POST /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n1234",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        with socket.create_connection((LOOPBACK, server), timeout=30) as plain:
            plain.sendall(request)
            assert plain.recv(100).startswith(b"HTTP/1.1 404")
    car = connect()
    with pytest.raises((websocket.WebSocketException, OSError)):
        car.socket.send("42" + "x" * 2**24)
        car.answer()
    assert connect().socket.connected


def checkpoint(tmp_path, recorder):
    model = steerer("komanda")
    model.recorder = recorder
    stored = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(stored)
    torch.save(stored, tmp_path / "model.ckpt")
    return str(tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    ("recorder", "arguments", "said"),
    [
        ("udacity", ["--port", "0"], "says radians of the steering wheel, and the simulator takes shares"),
        ("simulator", ["--port", "99999"], "port is 99999; it has to be from 0"),
        ("simulator", ["--port", "0", "--host", "300.1.1.1"], "300.1.1.1 cannot be used"),
        ("simulator", ["--speed_mph", "0"], "speed_mph is 0"),
        ("simulator", ["--speed_mph", "nan"], "speed_mph is"),
    ],
)
def test_what_cannot_drive_is_one_line(recorder, arguments, said, tmp_path, capsys):
    assert main(["simulator", "--ckpt_path", checkpoint(tmp_path, recorder), *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("missing", ["socketio", "uvicorn", "wsproto"])
def test_without_the_extra_one_line_names_it(missing, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "pipelines.steering.loop.telemetry", raising=False)
    assert main(["simulator", "--ckpt_path", checkpoint(tmp_path, "simulator")]) == 2
    err = capsys.readouterr().err
    assert f'simulator needs {missing}; pip install "seqsight[simulator]" brings it' in err


def test_the_command_waits_where_it_says(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: seen.append(sockets[0].getsockname()))
    assert main(["simulator", "--ckpt_path", checkpoint(tmp_path, "simulator"), "--port", "0"]) == 0
    assert seen[0][0] == LOOPBACK and f"{LOOPBACK}:{seen[0][1]}" in capsys.readouterr().out
