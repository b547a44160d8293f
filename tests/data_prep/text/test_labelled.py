"""Labelled texts: splits that share no text and every label, and tables that are wrong."""

from collections import Counter

import pytest

from data_prep.text.labelled import LabelledDataModule, LabelledText, read_labelled, split_texts
from modules.errors import InputError


def test_every_label_is_held_out_and_no_text_is_in_two_splits():
    rows = [LabelledText(f"text {i % 70}", "rare" if i % 10 == 0 else "common") for i in range(140)]
    split = split_texts(rows)
    counts = Counter((row.label, row.split) for row in split)
    assert len(counts) == 6
    assert len({(row.text, row.split) for row in split}) == 70
    assert [row.split for row in split_texts([*rows, LabelledText("more", "new")])[:140]] == [
        row.split for row in split
    ]


def test_what_the_data_say_is_kept():
    rows = [LabelledText(str(i), "ab"[i % 2], "test" if i < 10 else "train") for i in range(40)]
    split = split_texts(rows)
    assert [row.split for row in split[:10]] == ["test"] * 10
    assert Counter(row.split for row in split[10:]) == {"train": 26, "val": 4}
    tested = [LabelledText("x", "a", "test")]
    assert split_texts(tested) == tested


def test_columns_have_names_and_classes_come_from_training_texts(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Review;Mood\n" + "".join(f"film {i};{'good' if i % 2 else 'bad'}\n" for i in range(20)))
    data = LabelledDataModule(path, text="review", label="mood", min_count=1)
    assert data.training_codec().level == "word" and data.classes == ["bad", "good"]
    batch = data.encoded(data.of("train"))[[0, 1]]
    assert batch.lengths.tolist() == [3, 3] and sorted(batch.labels.tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "x.csv: holds no rows"),
        (b"text,label\n", "x.csv: holds no rows"),
        (b"one line", "x.csv:1: needs one column 'text' and one 'label'"),
        (b"text,label\na,\n", "x.csv:2: has no label"),
        (b"text,label\n ,b\n", "x.csv:2: has no text"),
        (b"text,label\na,b,c\n", "x.csv:2: 3 fields under 2 columns"),
        (b"text,label\n\xff\xfe,b\n", "x.csv:2: is not UTF-8 text"),
        (b"text,label\na,b\nc,b\nd,b\ne,b\n", "one label alone to train on (b)"),
        (b"text,label\na,b\nc,d\n", "too few to hold some out"),
        (
            b"text,label\n" + b"".join(b"w%d,%s\n" % (i, b"ab"[i % 2 :][:1]) for i in range(9)),
            "occurs 2 times",
        ),
        (b"text,label,split\na,b,train\nc,d,train\ne,f,val\n", "labels that are not trained on: f"),
        (b"text,label,split\na,b,holiday\n", "x.csv:2: split 'holiday' is none of"),
    ],
)
def test_what_cannot_be_learnt_is_one_line(tmp_path, content, said):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        LabelledDataModule(path).training_codec()
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_text_may_be_a_book(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('text,label\n"' + "word, " * 50_000 + '",long\nw,short\n')
    assert [len(row.text) for row in read_labelled(path)] == [300_000, 1]
    path.write_text('text,label\nw,short\n"' + "word, " * 50_000)
    with pytest.raises(InputError, match=r"x.csv:3: is no csv .*is a double quote left open"):
        read_labelled(path)


def test_a_csv_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_labelled(tmp_path / "x.csv")
