"""Captions of a video's frames as subtitles: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def subtitles(rows: Sequence[dict[str, Any]], every: float, format: str) -> str:
    """Returns a subtitle from each caption to the next frame; one that stays the same is shown on.

    Args:
        rows: With `time` in seconds and, where the frame could be read, `caption`.
        every: Seconds that the last one is shown.
        format: srt or vtt.
    """
    cues: list[tuple[float, float, str]] = []
    ends = [float(row["time"]) for row in rows[1:]] + [float(rows[-1]["time"]) + every]
    for row, end in zip(rows, ends, strict=True):
        begin, text = float(row["time"]), row.get("caption", "")
        if cues and cues[-1][1:] == (begin, text):
            cues[-1] = (cues[-1][0], end, text)
        elif text:
            cues.append((begin, end, text))
    point = "," if format == "srt" else "."
    blocks = [
        f"{number}\n{_clock(begin, point)} --> {_clock(end, point)}\n"
        f"{text if format == 'srt' else escape(text, quote=False)}\n"
        for number, (begin, end, text) in enumerate(cues, 1)
    ]
    return "\n".join(blocks if format == "srt" else ["WEBVTT\n", *blocks])


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
