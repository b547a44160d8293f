"""Pictures in two splits are found by their bytes, whatever their names."""

from data_prep.captions.duplicates import TAIL, in_two_splits
from data_prep.captions.records import CaptionRecord


def test_equal_bytes_in_two_splits_are_found_and_nothing_else(tmp_path):
    tail = b"e" * TAIL
    contents = {
        "a": (b"1" + tail, "train"),
        "copy of a": (b"1" + tail, "val"),
        "a once more": (b"1" + tail, "val"),
        "only its tail is a's": (b"2" + tail, "test"),
        "only its size is a's": (b"1" * (TAIL + 1), "test"),
        "c": (b"c", "train"),
        "copy of c in the same split": (b"c", "train"),
        "absent": (None, "train"),
        "absent too": (None, "val"),
    }
    records = []
    for name, (content, split) in contents.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        records.append(CaptionRecord(name, tmp_path / name, ("a dog",), split))
    found = [[record.image for record in group] for group in in_two_splits(records)]
    assert found == [["a", "copy of a", "a once more"]]
