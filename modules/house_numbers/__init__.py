"""House numbers: a reader that takes glimpses, and a painter that adds strokes to a canvas."""
