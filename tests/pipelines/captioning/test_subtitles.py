"""Captions of a video as subtitles that players read."""

from pipelines.captioning.subtitles import subtitles

ROWS = [
    {"time": 0.0, "caption": "a dog runs"},
    {"time": 2.0, "caption": "a dog runs"},
    {"time": 4.04, "error": "frame 121 cannot be read"},
    {"time": 3661.5, "caption": "a dog swims"},
]


def test_srt():
    assert subtitles(ROWS, 2.0, "srt") == (
        "1\n00:00:00,000 --> 00:00:04,040\na dog runs\n\n2\n01:01:01,500 --> 01:01:03,500\na dog swims\n"
    )


def test_vtt():
    begins = "WEBVTT\n\n1\n00:00:00.000 --> 00:00:04.040\na dog runs\n\n2\n01:01:01.500 --> "
    assert subtitles(ROWS, 2.0, "vtt").startswith(begins)


def test_signs_of_markup_are_shown_by_players_that_read_vtt():
    rows = [{"time": 0.0, "caption": "a <unk> eats at a b&b"}]
    assert "a &lt;unk&gt; eats at a b&amp;b" in subtitles(rows, 2.0, "vtt")
    assert "a <unk> eats at a b&b" in subtitles(rows, 2.0, "srt")
