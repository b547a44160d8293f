"""The `demo` command: a page on this machine alone that captions pictures and shows where the model looks."""

from __future__ import annotations

from pathlib import Path

from modules.captioning.captioner import Captioner
from modules.captioning.pretrained import PRETRAINED
from modules.errors import InputError
from pipelines.devices import chosen_device
from pipelines.running.listening import LOOPBACK, listen


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
        address = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
        model = Captioner.load(ckpt_path or PRETRAINED).to(chosen_device(device))
        app = application(DemoModel(model), Library(captions, images), listening.getsockname()[1])
        print(f"demo at {address}, for this machine alone; Ctrl-C ends it", flush=True)
        # who has not sent a picture to its end by then is not waited for
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listening])
