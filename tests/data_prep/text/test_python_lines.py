"""Lines of Python with what they are, without the marks that would say it."""

from data_prep.text.python_lines import python_lines

SOURCE = '''"""What this module is good for.

It explains itself at length.
"""
# a comment that says why
value = compute(first, second)  # not alone
def short(): pass
'''


def test_lines_are_told_apart_and_come_once(tmp_path):
    for name in "abcdefgh":
        (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("this is no python at all (\n")
    lines = python_lines(tmp_path, {"train": 10**6, "val": 10**6, "test": 10**6})
    assert {text: label for text, label, _ in lines} == {
        "What this module is good for.": "docstring",
        "It explains itself at length.": "docstring",
        "a comment that says why": "comment",
        "value = compute(first, second)  # not alone": "code",
    }
    assert len(lines) == 4
