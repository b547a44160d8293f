"""What the page of `demo` asks: captions of a picture with their attention, and photographs by captions.

It answers this machine's own page alone. A request that names another host or comes from another origin is
refused, so that no site that a browser shows can ask it. Pictures are not kept.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from modules.captioning.captioner import Captioner
from modules.captioning.preprocessing import EvalTransform
from modules.errors import InputError, printable, tell
from modules.images import CutImage, decode_image
from pipelines.captioning.attention import encoder_view
from pipelines.captioning.find import plain, summary
from pipelines.captioning.photographs.caption_index import CaptionIndex
from pipelines.captioning.photographs.photo_page import Photo
from pipelines.reports.page import fit_within, jpeg_uri, render

LARGEST = 64 * 2**20  # bytes of a picture
SHOWN = 960  # pixels of the picture's longer side on the page
FOUND = 12  # photographs that the box shows
TEMPLATE = Path(__file__).with_name("demo.html.jinja")


class DemoModel:
    """Captions pictures one after another, however many ask at once.

    Args:
        model: Ready to caption.
    """

    def __init__(self, model: Captioner) -> None:
        self.model = model
        self.transform = EvalTransform(model.encoder.image_size, model.resize)
        free = replace(model.decoding, must_contain="")  # which beam search alone can have
        self.ways = {
            "beam": replace(model.decoding, method="beam"),
            "greedy": replace(free, method="greedy"),
            "sampled": replace(free, method="sample", top_p=0.9),
        }
        self.turn = threading.Lock()

    def answer(self, data: bytes) -> dict[str, Any]:
        """Returns the picture as the model sees it, and its captions with words and attention.

        Args:
            data: A picture's file.

        Raises:
            UnreadableImage: It is none.
        """
        with self.turn:  # a picture takes much more room than its file
            wrong = ""
            try:
                image = decode_image(data, "the picture", SHOWN)
            except CutImage as error:
                image, wrong = error.image, str(error)
            views = self.model.views(self.transform(image).unsqueeze(0).to(self.model.device))
            captions = []
            for way, options in self.ways.items():
                # what is sampled differs from time to time
                name = secrets.token_hex() if way == "sampled" else ""
                (caption,) = self.model.caption(views, [name], options, keep_alpha=True)
                # in multiples of an even share
                alpha = [] if caption.alpha is None else (caption.alpha * caption.alpha.shape[1]).tolist()
                captions.append(
                    {
                        "way": way,
                        "text": caption.text,
                        "words": caption.words,
                        "alpha": [[round(weight, 2) for weight in of_word] for of_word in alpha],
                    }
                )
            shown = fit_within(encoder_view(image, self.model.resize), SHOWN, SHOWN)
        return {
            "picture": jpeg_uri(shown, 88),
            "wrong": wrong,
            "grid": list(self.model.encoder.grid),
            "captions": captions,
        }


class Library:
    """Photographs and their captions, for the box that finds them.

    Args:
        captions: File of captions; it may appear or change while the page is open.
        images: Folder of the photographs; None for that of the file.
    """

    def __init__(self, captions: Path, images: Path | None) -> None:
        self.captions, self.images = captions, images

    def answer(self, query: str) -> dict[str, Any]:
        """Returns the photographs that fit a query best; InputError as `find` has it."""
        with closing(CaptionIndex(self.captions)) as index:
            found, number = index.search(query, FOUND)
        folder = self.captions.parent if self.images is None else self.images
        photos = [(each, Photo(each.image, Path(each.file or folder / each.image))) for each in found]
        rows = [
            {"image": printable(each.image), "caption": plain(each.caption), "picture": photo.thumbnail()}
            for each, photo in photos
        ]
        said = summary(query, found, number)
        if photos and not any(photo.path.is_file() for _, photo in photos):
            said += f"; no photograph lies in {folder}: start it with --images DIR"
        return {"summary": said, "photographs": rows}


class OwnPageOnly:
    """Refuses what names another host, or comes from another origin than this server's own page.

    Args:
        app: What answers the others.
        port: Of this server.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self.hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named: dict[bytes, list[str]] = {}
            for name, value in scope["headers"]:
                named.setdefault(name, []).append(value.decode("latin-1"))
            origins = named.get(b"origin", [])
            hosts = named.get(b"host", [])
            is_own = len(hosts) == 1 and hosts[0] in self.hosts
            if not is_own or any(
                origin not in {f"http://{host}" for host in self.hosts} for origin in origins
            ):
                refusal = PlainTextResponse("this page answers this machine's own page alone\n", 403)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def application(model: DemoModel, library: Library, port: int) -> Starlette:
    """Returns the server's application.

    Args:
        model: Captions pictures.
        library: Finds photographs.
        port: That it listens on.
    """

    async def page(request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
            "connect-src 'self'; img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
        has_captions = library.captions.is_file()
        html = render(TEMPLATE, nonce=nonce, captions=str(library.captions), has_captions=has_captions)
        return HTMLResponse(html, headers=headers)

    async def caption(request: Request) -> Response:
        data = bytearray()
        try:
            async for part in request.stream():
                data += part
                if len(data) > LARGEST:
                    return _error(f"the picture has more than {LARGEST // 2**20} MB", 413)
        except ClientDisconnect:  # nobody is left to answer
            return Response()
        return await _answered(model.answer, bytes(data))

    async def find(request: Request) -> Response:
        return await _answered(library.answer, request.query_params.get("q", ""))

    async def icon(request: Request) -> Response:
        return Response(status_code=204)

    routes = [
        Route("/", page),
        Route("/caption", caption, methods=["POST"]),
        Route("/find", find),
        Route("/favicon.ico", icon),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnPageOnly, port=port)])


async def _answered(answer: Any, asked: Any) -> Response:
    """Returns what is answered as JSON, or one line on why it is not."""

    def without_gradients() -> dict[str, Any]:
        with torch.inference_mode():
            return dict(answer(asked))

    try:
        return JSONResponse(await run_in_threadpool(without_gradients))
    except InputError as error:
        return _error(str(error), 422)
    except Exception as error:  # the page stays up whatever it is sent
        line = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        tell(f"error: {line}")
        return _error(f"could not be answered ({line})", 500)


def _error(line: str, status: int) -> Response:
    return JSONResponse({"error": line}, status)
