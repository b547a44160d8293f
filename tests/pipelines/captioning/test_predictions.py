"""Predictions of any system, references of any format, and their matching."""

import json
from pathlib import Path

import pytest

from modules.errors import InputError
from pipelines.captioning.predictions import (
    References,
    coco_image_id,
    match,
    read_predictions,
    read_references,
)

REFERENCES = {"1.jpg": ["a dog runs", "A dog."], "b/2.jpg": ["a cat sits"], "3.jpg": ["a bird"]}
COCO = {
    "images": [{"id": 42, "file_name": "COCO_val2014_000000000042.jpg"}, {"id": 7, "file_name": "7.jpg"}],
    "annotations": [
        {"image_id": 42, "id": 1, "caption": "a dog"},
        {"image_id": 7, "id": 2, "caption": "a cat"},
        {"image_id": 42, "id": 3, "caption": "a brown dog"},
    ],
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def jsonl(path, *rows):
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def references(tmp_path):
    rows = [{"image": image, "captions": captions} for image, captions in REFERENCES.items()]
    return read_references(jsonl(tmp_path / "references.jsonl", *rows))


def predictions(tmp_path, *rows):
    return read_predictions(jsonl(tmp_path / "out.jsonl", *rows))


def captioned(*images):
    return [{"image": image, "caption": f"of {image}"} for image in images]


def test_jsonl_rows_give_captions_and_failed_images(tmp_path):
    read = predictions(
        tmp_path,
        {"image": "a/1.jpg", "caption": "a  dog\nruns ", "score": -1.5, "references": ["x"]},
        {"image": "./b.jpg", "caption": "", "error": None},
        {"image": "c.txt", "error": "is no image"},
    )
    assert read.captions == {"a/1.jpg": "a dog runs", "b.jpg": ""}
    assert read.failed == ["c.txt"]


def test_csv_rows_give_the_same(tmp_path):
    path = write(
        tmp_path / "out.csv",
        '\ufeffimage,caption,score,error\r\na/1.jpg,"a ""big"" dog, running",-1.5,\r\n\r\n'
        "c.txt,,,is no image\r\n",
    )
    read = read_predictions(path)
    assert read.captions == {"a/1.jpg": 'a "big" dog, running'}
    assert read.failed == ["c.txt"]
    for delimiter in (",", ";", "\t"):
        two = write(tmp_path / "two.csv", f"image{delimiter}caption\na.jpg{delimiter}a dog")
        assert read_predictions(two).captions == {"a.jpg": "a dog"}


def test_coco_results_give_the_same(tmp_path):
    rows = [{"image_id": 42, "caption": "a dog"}, {"image_id": "b.jpg", "caption": "a cat"}]
    assert read_predictions(write(tmp_path / "r.json", rows)).captions == {"42": "a dog", "b.jpg": "a cat"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"out: is empty"),
        (" \n\n", r"out: is empty"),
        ("[]", r"out: holds no captions"),
        ('{"image": "a", "caption": "b"}\n{"image": ', r"out:2: is no JSON"),
        ('{"image": "a", "caption": "b"}\n\n[1]', r"out:3: is no JSON object"),
        ('{"caption": "b"}', r'out:1: has no "image"'),
        ('{"image": true, "caption": "b"}', r'out:1: has no "image"'),
        ('{"image": " ", "caption": "b"}', r"out:1: the image has no name"),
        ('{"image": "a"}', r'out:1: has neither "caption" nor "error"; its keys are image'),
        ('{"image": "a", "caption": 3}', r"out:1: the caption is int, not text"),
        ('{"image": "a", "caption": "\\ud83d"}', r"out:1: .* half a Unicode character"),
        (
            '{"image": "a\\nb", "caption": "c"}\n{"image": "a\\nb", "caption": "c"}',
            r"out:2: 'a\\nb' was already",
        ),
        ('{"image": "a", "error": NaN}', r"out:1: has neither"),
        ("[1]", r"out: \[0\] is no"),
        ('[{"image_id": 1, "caption": "a"},\n {"image_id": 2}]', r"out: \[1\]: has neither"),
        ("[{]", r"out:1: is no JSON"),
        ("file,text\na,b", r"out:1: needs one column 'image' and one 'caption', .* are: file, text"),
        ("image,caption\na,b\nc,d,e", r"out:3: 3 fields under 2 columns"),
        ('image,caption\na,b\nc,"d', r"out:3: is no csv"),
        (
            '{"image": "a", "caption": "b"}\n{"image": "a", "caption": "c"}',
            r"out:2: a was already captioned in .*out:1;",
        ),
        ('{"image": "a", "caption": "b"}\n{"image": "a", "error": "c"}', r"out:2: a was already"),
    ],
)
def test_a_bad_prediction_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read_predictions(write(tmp_path / "out", content))
    assert "\n" not in str(error.value)


def test_repeated_images_are_counted_and_the_first_five_named(tmp_path):
    rows = captioned(*"abcdefg")
    with pytest.raises(InputError, match=r"out\.jsonl:8: a was .* 7 of the images: a, b, c, d, e, \.\.\.;"):
        predictions(tmp_path, *rows, *rows)


def test_a_file_that_is_no_text_is_named_with_the_line(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"image": "a", "caption": "b"}\n{"image": "caf\xe9", "caption": "b"}\n')
    with pytest.raises(InputError, match=r"out\.jsonl:2: is not UTF-8"):
        read_predictions(path)
    with pytest.raises(InputError, match=r"absent\.jsonl: no such file"):
        read_predictions(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="is a folder"):
        read_references(tmp_path)


def test_references_are_read_from_every_format(tmp_path):
    expected = {"1.jpg": ["a dog, running", "a dog"], "2.jpg": ["a cat"]}
    token = "1.jpg#0\ta dog, running\n1.jpg#1\ta dog\n2.jpg#0\ta cat\n"
    table = 'image,caption\n1.jpg,"a dog, running"\n2.jpg,a cat\n1.jpg,a dog\n'
    rows = [{"image": i, "caption": c} for i, captions in expected.items() for c in captions]
    lists = [{"image": i, "captions": captions, "split": "test"} for i, captions in expected.items()]
    karpathy = {
        "images": [
            {"filename": i, "split": "test", "sentences": [{"raw": c} for c in captions]}
            for i, captions in expected.items()
        ]
    }
    for path in (
        write(tmp_path / "Flickr8k.token.txt", token),
        write(tmp_path / "captions.csv", table),
        write(tmp_path / "captions.txt", table),
        jsonl(tmp_path / "rows.jsonl", *rows),
        jsonl(tmp_path / "rows.json", *rows),
        jsonl(tmp_path / "lists.jsonl", *lists),
        write(tmp_path / "dataset_flickr8k.json", karpathy),
    ):
        assert read_references(path).captions == expected, path.name


def test_coco_references_are_known_by_file_name_and_by_id(tmp_path):
    for indent in (None, 1):
        path = write(tmp_path / "captions_val.json", json.dumps(COCO, indent=indent))
        references = read_references(path)
        expected = {"COCO_val2014_000000000042.jpg": ["a dog", "a brown dog"], "7.jpg": ["a cat"]}
        assert references.captions == expected
        by_id = read_predictions(
            write(tmp_path / "r.json", [{"image_id": i, "caption": str(int(i))} for i in (7, 42.0)])
        )
        hypotheses, sentences = match(by_id, references)
        assert hypotheses == {"COCO_val2014_000000000042.jpg": "42", "7.jpg": "7"}
        assert sentences == expected


def test_coco_ids_are_read_from_cocos_file_names(tmp_path):
    image = {"filepath": "val2014", "filename": "COCO_val2014_000000000042.jpg", "split": "test"}
    karpathy = {"images": [image | {"sentences": [{"raw": "a dog"}]}]}
    references = read_references(write(tmp_path / "dataset_coco.json", karpathy))
    for name in (42, "000000000042.jpg", "other/COCO_val2014_000000000042.jpg"):
        hypotheses, _ = match(predictions(tmp_path, {"image": name, "caption": "a dog"}), references)
        assert hypotheses == {"val2014/COCO_val2014_000000000042.jpg": "a dog"}


def test_digits_that_end_another_name_are_no_coco_id():
    assert coco_image_id("val2014/COCO_val2014_000000391895.jpg") == 391895
    assert coco_image_id("3627076769_3d71e73018.jpg") is None
    assert coco_image_id("42.jpg") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"refs: is empty"),
        ("1.jpg#0\ta dog\n1.jpg a cat\n", r"refs:2: is no caption line"),
        ("1.jpg a dog\n1.jpg#1\ta cat\n", r"refs:1: is no caption line"),
        ("image,text\n1.jpg,a dog\n", r"refs:1: .*'caption'.*image, ?text"),
        ('{"image": "1.jpg", "caption": "a dog"}\n{"image": "2.jpg"}', r"refs:2: has no caption"),
        ('{"image": "1.jpg", "captions": "a dog"}', r'refs:1: "captions" is no list'),
        ('{"image": "1.jpg", "captions": []}', r'refs:1: "captions" is no list'),
        ('{"image": "1.jpg", "caption": " "}', r"refs:1: the caption is empty"),
        ('{"image": "1.jpg", "caption": "a dog"}\n{', r"refs:2: is no JSON"),
        (
            '{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 2}]}',
            r"annotations\[0\]",
        ),
        ('{"images": 3}', "refs: is no"),
        ("{", r"refs:1: is no JSON"),
    ],
)
def test_a_bad_reference_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read_references(write(tmp_path / "refs", content))
    assert "\n" not in str(error.value)


def test_names_match_exactly_else_by_unique_file_name(tmp_path, references):
    rows = captioned("photos/1.jpg", "2.jpg", "3.jpg")
    hypotheses, sentences = match(predictions(tmp_path, *rows), references)
    assert hypotheses == {"1.jpg": "of photos/1.jpg", "b/2.jpg": "of 2.jpg", "3.jpg": "of 3.jpg"}
    assert sentences == REFERENCES
    windows = captioned("C:\\photos\\1.jpg", "b\\2.jpg", "3.jpg")
    assert list(match(predictions(tmp_path, *windows), references)[0]) == list(REFERENCES)


def test_names_match_in_other_spellings(tmp_path):
    rows = [
        {"image": name, "caption": "a dog"} for name in ("DOG.JPG", "sub/cafe\u0301.png", "a.jpg", "A.jpg")
    ]
    references = References(
        Path("r"), {name: ["a dog"] for name in ("dog.jpg", "sub/caf\u00e9.png", "a.jpg", "A.jpg")}
    )
    hypotheses, _ = match(read_predictions(write(tmp_path / "p.json", rows)), references)
    assert list(hypotheses) == ["dog.jpg", "sub/caf\u00e9.png", "a.jpg", "A.jpg"]
    with pytest.raises(InputError, match="lacks 1 of the 1"):
        match(read_predictions(write(tmp_path / "p.json", [{"image": "a.JPG", "caption": "x"}])), references)


def test_a_file_name_in_two_folders_decides_nothing(tmp_path):
    rows = [{"image": image, "caption": "a dog"} for image in ("a/1.jpg", "b/1.jpg")]
    references = read_references(jsonl(tmp_path / "references.jsonl", *rows))
    assert len(match(predictions(tmp_path, *captioned("a/1.jpg", "b/1.jpg")), references)[0]) == 2
    with pytest.raises(InputError, match=r"lacks 1 of the 2 captioned images: 1\.jpg;"):
        match(predictions(tmp_path, *captioned("1.jpg", "b/1.jpg")), references)


def test_missing_images_are_counted_and_named_with_the_remedy(tmp_path, references):
    rows = [*captioned("1.jpg"), {"image": "3.jpg", "error": "is no image"}]
    message = (
        r"out\.jsonl: no caption for 2 of 3 images \(1 with an error instead\): b/2\.jpg, 3\.jpg; .*--subset"
    )
    with pytest.raises(InputError, match=message):
        match(predictions(tmp_path, *rows), references)


def test_unknown_images_are_named(tmp_path, references):
    with pytest.raises(InputError, match=r"references\.jsonl lacks 1 of the 4 captioned images: x\.jpg;"):
        match(predictions(tmp_path, *captioned(*REFERENCES, "x.jpg")), references)


def test_a_failed_file_that_has_no_references_is_no_matter(tmp_path, references):
    rows = [*captioned(*REFERENCES), {"image": "notes.txt", "error": "is no image"}]
    assert len(match(predictions(tmp_path, *rows), references)[0]) == 3


def test_two_captions_that_match_one_image_are_named(tmp_path, references):
    with pytest.raises(InputError, match=r"several captions .*: 1\.jpg \(1\.jpg and x/1\.jpg\);"):
        match(predictions(tmp_path, *captioned(*REFERENCES, "x/1.jpg")), references)


def test_a_subset_leaves_the_other_images_out_on_both_sides(tmp_path, references):
    subset = write(tmp_path / "list.txt", "3.jpg\n\n2.jpg\n3.jpg\n")
    rows = [*captioned("3.jpg", "2.jpg", "unknown.jpg"), {"image": "1.jpg", "error": "is no image"}]
    hypotheses, sentences = match(predictions(tmp_path, *rows), references, subset)
    assert hypotheses == {"3.jpg": "of 3.jpg", "b/2.jpg": "of 2.jpg"}
    assert list(sentences) == ["3.jpg", "b/2.jpg"]
    with pytest.raises(InputError, match=r"no caption for 1 of 2 images: b/2\.jpg;"):
        match(predictions(tmp_path, *captioned("3.jpg")), references, subset)


def test_a_bad_subset_is_named(tmp_path, references):
    all_images = predictions(tmp_path, *captioned(*REFERENCES))
    with pytest.raises(InputError, match=r"list\.txt: .* lacks 1 of the 2 listed images: x\.jpg;"):
        match(all_images, references, write(tmp_path / "list.txt", "1.jpg\nx.jpg\n"))
    with pytest.raises(InputError, match=r"list\.txt: lists no image"):
        match(all_images, references, write(tmp_path / "list.txt", "\n"))
