"""The command line's words."""

from pipelines.arguments import explain


def test_every_complaint_is_one_line():
    options = ["decoding.beam_size", "images"]
    assert explain("a\n  b\n\nc", options) == "a b c"
    assert explain("Group 'decoding' does not accept option 'beam_sise'", options) == (
        "no option 'decoding.beam_sise'; the nearest is 'decoding.beam_size'"
    )
    assert explain("unrecognized arguments: --xyzzy 3", options) == "no option 'xyzzy'; --help lists them all"
    assert explain('Parser key "a.b": something\n  else', options) == "a.b: something else"
