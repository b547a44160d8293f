"""The `demo` command: a page on this machine alone that captions pictures and shows where the model looks."""

from __future__ import annotations

import socket
from pathlib import Path

from modules.captioning.captioner import Captioner
from modules.captioning.pretrained import PRETRAINED
from modules.errors import InputError
from pipelines.devices import chosen_device

HOST = "127.0.0.1"


def demo(
    port: int = 8000,
    ckpt_path: Path | None = None,
    captions: Path = Path("captions.jsonl"),
    images: Path | None = None,
    device: str = "auto",
) -> None:
    """Serve a page on this machine alone: drop a picture, read its caption, see where each word looks.

    The page is at http://127.0.0.1:8000, and no other machine reaches it. It loads nothing from elsewhere,
    and keeps no picture. Its box finds photographs by their captions, where there is a file of captions.

    Args:
        port: Of the page; 0 takes any free one.
        ckpt_path: Checkpoint of a captioner; by default the ready-made one.
        captions: File of captions to search, as `predict` writes it.
        images: Folder of the photographs of that file; by default the file's own.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    try:
        import uvicorn

        from pipelines.captioning.photographs.demo_server import DemoModel, Library, application
    except ModuleNotFoundError as error:
        raise InputError(f'demo needs {error.name}; pip install "seqsight[demo]" brings it') from None
    listening = listen(port)
    with listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}"
        model = Captioner.load(ckpt_path or PRETRAINED).to(chosen_device(device))
        app = application(DemoModel(model), Library(captions, images), listening.getsockname()[1])
        print(f"demo at {address}, for this machine alone; Ctrl-C ends it", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listening])


def listen(port: int) -> socket.socket:
    """Returns a socket on this machine's loopback; InputError where there can be none."""
    if not 0 <= port <= 65535:
        raise InputError(f"port is {port}; it has to be from 0 (any free one) to 65535")
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise InputError(f"port {port} cannot be used ({error.strerror}); choose another --port") from None
    return listening
