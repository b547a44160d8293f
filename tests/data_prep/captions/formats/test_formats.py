"""Every format gives the same table, and every fault in one is a single line with file and line number."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.captions import read_captions
from data_prep.captions.formats import coco, flickr8k, folder, karpathy
from data_prep.captions.records import CaptionTable
from modules.errors import InputError
from pipelines.captioning.prediction_rows import write_rows

DATA = Path(os.environ.get("SEQSIGHT_DATA", Path(__file__).parents[4] / "../shared/data"))


def put(root: Path, name: str, text: str | bytes = b"") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def draw(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(root / name)


def contents(table: CaptionTable) -> list[tuple[str, tuple[str, ...], str]]:
    assert all(record.path == table.root / record.image and record.path.is_file() for record in table.records)
    return [(record.image, record.captions, record.split) for record in table.records]


# ------------------------------------------------------------------------------------ Flickr8k, Flickr30k


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    lines = ["a.jpg#0\tA dog runs .", "a.jpg#1\tBrown dog", "b.jpg#0\tA cat\r", "x.jpg#0\tIn no list", ""]
    put(tmp_path, "Flickr8k_text/Flickr8k.token.txt", "\n".join(lines))
    put(tmp_path, "Flickr8k_text/Flickr_8k.trainImages.txt", "a.jpg\r\n")
    put(tmp_path, "Flickr8k_text/Flickr_8k.devImages.txt", "b.jpg\n\n")
    draw(tmp_path, "Flicker8k_Dataset/a.jpg", "Flicker8k_Dataset/b.jpg")
    return tmp_path


FLICKR_TABLE = [("a.jpg", ("A dog runs .", "Brown dog"), "train"), ("b.jpg", ("A cat",), "val")]


def test_flickr8k_layout(flickr: Path) -> None:
    assert contents(flickr8k.read(flickr)) == FLICKR_TABLE
    assert contents(read_captions(flickr)) == FLICKR_TABLE


def test_flickr8k_flat_with_the_other_spelling(flickr: Path) -> None:
    for path in (flickr / "Flickr8k_text").iterdir():
        path.rename(flickr / path.name)
    (flickr / "Flicker8k_Dataset").rename(flickr / "Images")
    (flickr / "Flickr_8k.devImages.txt").unlink()
    assert contents(read_captions(str(flickr))) == FLICKR_TABLE[:1]


def test_flickr30k_and_kaggle_files(tmp_path: Path) -> None:
    rows = [
        "image_name| comment_number| comment",
        "a.jpg| 0| A dog",
        "a.jpg| 4   Runs .",
        "b.jpg| 0| A | bar",
    ]
    put(tmp_path, "thirty/flickr30k_images/results.csv", "\n".join(rows))
    draw(tmp_path, "thirty/flickr30k_images/a.jpg", "thirty/flickr30k_images/b.jpg")
    table = read_captions(tmp_path / "thirty")
    expected = {"a.jpg": ("A dog", "Runs ."), "b.jpg": ("A | bar",)}
    assert {record.image: record.captions for record in table.records} == expected
    assert sorted(record.split for record in table.records) == ["train", "val"]

    put(tmp_path, "kaggle/captions.txt", 'image,caption\na.jpg,"A dog , running"\nb.jpg,A cat\n')
    draw(tmp_path, "kaggle/Images/a.jpg", "kaggle/Images/b.jpg")
    expected = {"a.jpg": ("A dog , running",), "b.jpg": ("A cat",)}
    for read in (read_captions, flickr8k.read):
        assert {r.image: r.captions for r in read(tmp_path / "kaggle").records} == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Flickr8k.token.txt", "a.jpg#0\tx\na.jpg A dog\n", r"token.txt:2: is no caption line"),
        ("Flickr8k.token.txt", "a.jpg#0\tx\na.jpg#1\t \n", r"token.txt:2: the caption is empty"),
        ("Flickr8k.token.txt", b"a.jpg#0\tx\na.jpg#1\t\xff\xfe\n", r"token.txt:2: is not UTF-8"),
        ("Flickr8k.token.txt", "../a.jpg#0\tx\n", r"token.txt:1: image '../a.jpg' leaves"),
        ("Flickr8k.token.txt", "\n", r"token.txt: holds no captions"),
        ("Flickr_8k.trainImages.txt", "a.jpg\nq.jpg\n", r"trainImages.txt:2: image q.jpg has no caption"),
        ("Flickr_8k.trainImages.txt", "x.jpg\n", r"trainImages.txt:1: image x.jpg is not in .*Flicker8k"),
        ("Flickr_8k.trainImages.txt", "b.jpg\n", r"devImages.txt:1: image b.jpg is also in .*train"),
        ("Flickr_8k.trainImages.txt", "", r"trainImages.txt: lists no image"),
    ],
)
def test_flickr8k_faults(flickr: Path, name: str, text: str | bytes, message: str) -> None:
    put(flickr, f"Flickr8k_text/{name}", text)
    with pytest.raises(InputError, match=message) as caught:
        flickr8k.read(flickr)
    assert "\n" not in str(caught.value)


def test_flickr8k_lacking_parts(flickr: Path) -> None:
    (flickr / "Flickr8k_text/Flickr_8k.trainImages.txt").rename(flickr / "train.txt")
    with pytest.raises(InputError, match=r"no Flickr_8k.trainImages.txt .*official list"):
        flickr8k.read(flickr)
    (flickr / "train.txt").rename(flickr / "Flickr8k_text/Flickr_8k.trainImages.txt")
    (flickr / "Flicker8k_Dataset").rename(flickr / "photos")
    with pytest.raises(InputError, match=r"no such folder of images .*Flickr8k_Dataset"):
        flickr8k.read(flickr)
    (flickr / "Flickr8k_text/Flickr8k.token.txt").unlink()
    with pytest.raises(InputError, match=r"no Flickr8k.token.txt"):
        flickr8k.read(flickr)


@pytest.mark.real_data
def test_flickr8k_as_published() -> None:
    root = DATA / "flickr8k"
    if not root.is_dir():
        pytest.skip(f"no {root}: set SEQSIGHT_DATA to the folder that holds flickr8k")
    table = read_captions(root)
    assert [len(table.split(name)) for name in ("train", "val")] == [6000, 1000]
    assert {len(record.captions) for record in table.records} == {5}


# ----------------------------------------------------------------------------------------- your own folder


def test_csv_in_all_its_forms(tmp_path: Path) -> None:
    text = (
        '\ufeffImage,Split,caption\r\nimages/a.jpg,train,"A dog, a ""big"" one,\r\nruns"\r\n\r\n'
        'sub\\b.jpg,dev,Ein Käfer\r\n./images/a.jpg,train,"Again"\r\n./images/a.jpg,train,Again\r\n'
    )
    put(tmp_path, "captions.csv", text)
    draw(tmp_path, "images/a.jpg", "sub/b.jpg")
    assert contents(read_captions(tmp_path)) == [
        ("images/a.jpg", ('A dog, a "big" one, runs', "Again", "Again"), "train"),
        ("sub/b.jpg", ("Ein Käfer",), "val"),
    ]


def test_jsonl_in_all_its_forms(tmp_path: Path) -> None:
    rows = [
        {"image": "a.jpg", "caption": "one", "split": "restval"},
        {"image": "b/c.png", "captions": ["two", "three\u2028four"], "split": "test"},
        {"image": "a.jpg", "captions": ["five"], "split": "train"},
    ]
    put(tmp_path, "captions.jsonl", "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    draw(tmp_path, "images/a.jpg", "images/b/c.png")
    table = read_captions(tmp_path)
    assert table.root == tmp_path / "images"
    assert contents(table) == [
        ("a.jpg", ("one", "five"), "train"),
        ("b/c.png", ("two", "three four"), "test"),
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_what_predict_wrote_is_read_after_somebody_corrected_it(suffix: str, tmp_path: Path) -> None:
    rows = [
        {"image": "a.jpg", "caption": "Anna", "score": -1.1, "captions": ["a girl", "a dog"], "unsure": True},
        {"image": "b.jpg", "error": "is damaged"},
        {"image": "c.jpg", "caption": "a dog", "score": -0.5, "error": "is damaged; captioned so far"},
    ]
    write_rows(tmp_path / f"captions{suffix}", rows, suffix[1:])
    draw(tmp_path, "a.jpg", "c.jpg")  # b.jpg was thrown away
    read = [(record.image, record.captions) for record in read_captions(tmp_path).records]
    assert read == [("a.jpg", ("Anna",)), ("c.jpg", ("a dog",))]


CSV_FAULTS = [
    ("image,text\na.jpg,x\n", r"csv:1: needs one column 'caption', the columns are: image, text"),
    ("image;caption\na.jpg;x;y\n", r"csv:2: 3 fields under 2 columns; .* holds a semicolon stands in double"),
    ("image,caption\na.jpg,x\na.jpg,x, y\n", r"csv:3: 3 fields under 2 columns"),
    ("image,caption\na.jpg,x\na.jpg\n", r"csv:3: 1 fields under 2 columns"),
    ('image,caption\na.jpg,x\na.jpg,"x\nb.jpg,y\n', r"csv:3: is no csv .*quote"),
    ("image,caption\na.jpg,x\n\na.jpg,\n", r"csv:4: the caption is empty"),
    ("image,caption\n,x\n", r"csv:2: the image has no name"),
    ("image,caption\n/etc/a.jpg,x\n", r"csv:2: image '/etc/a.jpg' leaves"),
    ("image,caption\nC:\\a.jpg,x\n", r"csv:2: image .* leaves"),
    ("image,caption\nsub/../../a.jpg,x\n", r"csv:2: image .* leaves"),
    ("image,caption,split\na.jpg,x,train\nb.jpg,x,trian\n", r"csv:3: split 'trian' is none of"),
    ("image,caption,split\na.jpg,x,train\na.jpg,x,val\n", r"csv:3: image a.jpg is in train and in val"),
    ("image,caption\na.jpg,x\nq.jpg,x\nb.jpg,x\nr.jpg,x\n", r"csv:3: image q.jpg is not .*2 of 4 images"),
    ("image,caption\n", r"csv: holds no captions"),
    ("", r"csv: holds no captions"),
    (b"image,caption\na.jpg,caf\xe9\n", r"csv:2: is not UTF-8"),
    ("image,caption\na.jpg,x\n", r"csv: holds one labelled image; training .* at least two"),
]
JSONL_FAULTS = [
    ('{"image": "a.jpg", "caption": "x"}\n{"image": \n', r"jsonl:2: is no JSON"),
    ('["a.jpg", "x"]\n', r"jsonl:1: is no JSON object"),
    ('{"file": "a.jpg", "caption": "x"}\n', r'jsonl:1: has no "image"'),
    ('{"image": "a.jpg"}\n', r'jsonl:1: needs either "caption" or "captions"'),
    ('{"image": "a.jpg", "captions": "x"}\n', r"jsonl:1: .* no list"),
    ('{"image": "a.jpg", "captions": []}\n', r"jsonl:1: .* no list"),
    ('{"image": "a.jpg", "caption": 7}\n', r"jsonl:1: the caption is int"),
    ('{"image": "a.jpg", "caption": "\\ud800"}\n', r"jsonl:1: .* half a Unicode"),
    ('{"image": "a.jpg", "caption": "x", "split": 1}\n', r'jsonl:1: "split" is no text'),
    (
        '{"image": "a.jpg", "caption": "x", "split": "val"}\n{"image": "b.jpg", "caption": "x"}',
        r"jsonl:2: has no",
    ),
    ("[" * 100_000, r"jsonl:1: is no JSON"),
]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("captions.csv", *fault) for fault in CSV_FAULTS]
    + [("captions.jsonl", *fault) for fault in JSONL_FAULTS],
)
def test_folder_faults(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    draw(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, name, text)
    with pytest.raises(InputError, match=message) as caught:
        read_captions(tmp_path)
    assert "\n" not in str(caught.value)


def test_two_caption_files_are_not_guessed_between(tmp_path: Path) -> None:
    put(tmp_path, "captions.csv", "image,caption\n")
    put(tmp_path, "captions.jsonl", "")
    with pytest.raises(InputError, match="lies beside it"):
        folder.read(tmp_path)


# -------------------------------------------------------------------------------------------- COCO, Karpathy


def coco_json(*pairs: tuple[int, str, list[str]]) -> str:
    images = [{"id": number, "file_name": name} for number, name, _ in pairs]
    annotations = [{"image_id": n, "caption": caption} for n, _, captions in pairs for caption in captions]
    return json.dumps({"images": images, "annotations": annotations})


def test_coco_official_layout(tmp_path: Path) -> None:
    train = coco_json((7, "COCO_7.jpg", ["A dog.\n", "Dog"]), (9, "COCO_9.jpg", []))
    put(tmp_path, "annotations/captions_train2014.json", train)
    put(tmp_path, "annotations/captions_val2014.json", coco_json((8, "COCO_8.jpg", ["A cat"])))
    put(tmp_path, "annotations/instances_train2014.json", "{}")
    draw(tmp_path, "train2014/COCO_7.jpg", "val2014/COCO_8.jpg")
    assert contents(read_captions(tmp_path)) == [
        ("train2014/COCO_7.jpg", ("A dog.", "Dog"), "train"),
        ("val2014/COCO_8.jpg", ("A cat",), "val"),
    ]
    put(tmp_path, "annotations/captions_train2017.json", train)
    with pytest.raises(InputError, match=r"train2017.json: captions_train2014.json is a train split too"):
        coco.read(tmp_path)


def test_one_coco_json_with_ones_own_images(tmp_path: Path) -> None:
    pairs = [(i, f"{i}.jpg", ["words"]) for i in range(20)]
    put(tmp_path, "captions.json", coco_json(*pairs))
    draw(tmp_path, *(f"images/{i}.jpg" for i in range(20)))
    table = read_captions(tmp_path)
    assert {record.image for record in table.records} == {f"images/{i}.jpg" for i in range(20)}
    assert table.split("train") and table.split("val")
    annotations = coco.read_annotations(tmp_path / "captions.json")
    assert (annotations.captions[3], annotations.files[3]) == (["words"], "3.jpg")
    # as pandas writes numbers
    floats = json.loads(coco_json(*pairs), parse_int=float)
    put(tmp_path, "captions.json", json.dumps(floats))
    assert coco.read_annotations(tmp_path / "captions.json") == annotations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{\n\n not json", r"captions.json:3: is no JSON"),
        ("[1]", r"captions.json: is no COCO captions file"),
        ('{"images": [], "annotations": []}', r"captions.json: holds no captions"),
        ('{"images": [{"id": 1}], "annotations": []}', r'images\[0\]: has no "file_name"'),
        ('{"images": [{"file_name": "a.jpg"}], "annotations": []}', r'images\[0\]: has no "id"'),
        (coco_json((1, "a.jpg", []), (1, "b.jpg", [])), r"images\[1\]: id 1 was already given to a.jpg"),
        (
            '{"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}',
            r"\[0\]: image_id 1 is not among",
        ),
        ('{"images": [], "annotations": [{"image_id": 1}]}', r'annotations\[0\]: has no "caption"'),
        (coco_json((1, "a.jpg", ["x", " "])), r"annotations\[1\]: the caption is empty"),
        (coco_json((1, "../a.jpg", ["x"])), r"images\[0\]: image '../a.jpg' leaves"),
        (coco_json((1, "a.jpg", ["x"]), (2, "q.jpg", ["x"])), r"captions.json: image q.jpg is not in"),
    ],
)
def test_coco_faults(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path, "a.jpg")
    put(tmp_path, "captions.json", text)
    with pytest.raises(InputError, match=message):
        read_captions(tmp_path)


def karpathy_entry(name: str, split: str, *captions: str, **more: str) -> dict[str, object]:
    return {"filename": name, "split": split, "sentences": [{"raw": caption} for caption in captions], **more}


def test_karpathy_splits(tmp_path: Path) -> None:
    entries = [
        karpathy_entry("1.jpg", "train", "A dog", filepath="train2014"),
        karpathy_entry("2.jpg", "restval", "A cat", "Cat", filepath="val2014"),
        karpathy_entry("3.jpg", "val", "A cow", filepath="val2014"),
        karpathy_entry("4.jpg", "test", "A pig", filepath="val2014"),
        karpathy_entry("5.jpg", "test", filepath="val2014"),
    ]
    put(tmp_path, "dataset_coco.json", json.dumps({"images": entries, "dataset": "coco"}))
    draw(tmp_path, "train2014/1.jpg", *(f"val2014/{i}.jpg" for i in (2, 3, 4)))
    assert contents(read_captions(tmp_path)) == [
        ("train2014/1.jpg", ("A dog",), "train"),
        ("val2014/2.jpg", ("A cat", "Cat"), "train"),
        ("val2014/3.jpg", ("A cow",), "val"),
        ("val2014/4.jpg", ("A pig",), "test"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"filename": "a.jpg", "split": "train"}, r'images\[0\]: needs the list "sentences"'),
        ({"filename": "a.jpg", "sentences": []}, r'images\[0\]: needs "filename" and "split"'),
        (karpathy_entry("a.jpg", "other", "x"), r"images\[0\]: split 'other'"),
        (karpathy_entry("a.jpg", "train", ""), r"images\[0\]: the caption is empty"),
        (karpathy_entry("a.jpg", "train", "x", filepath=".."), r"images\[0\]: image '../a.jpg' leaves"),
        (karpathy_entry("q.jpg", "train", "x"), r"images\[0\]: image q.jpg is not in"),
        ({"filename": "a.jpg", "split": "train", "sentences": ["x"]}, r'a sentence has no "raw"'),
        ("a.jpg", r"images\[0\]: is no object"),
    ],
)
def test_karpathy_faults(tmp_path: Path, entry: object, message: str) -> None:
    draw(tmp_path, "images/a.jpg")
    put(tmp_path, "dataset_flickr8k.json", json.dumps({"images": [entry]}))
    with pytest.raises(InputError, match=message):
        karpathy.read(tmp_path)
