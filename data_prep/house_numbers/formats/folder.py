"""Your own data: a folder of pictures with one table.

    DIR/numbers.csv             columns image, number and, if you like, split; between them commas,
                                semicolons or tabs; a number is 1 to 5 digits
    DIR/a.jpg, DIR/b/c.jpg      the pictures beside the table, or all of them in DIR/images/

Without splits the pictures are divided 80/10/10 by a hash of their names.
"""

from pathlib import Path

from data_prep.csv_tables import read_csv
from data_prep.house_numbers.records import NumberRecord, NumberTable, checked_number, picture_files
from data_prep.image_names import assign_splits, image_name, locate_images
from data_prep.input_files import split_name
from modules.errors import InputError

TABLE = "numbers.csv"


def recognises(root: Path) -> bool:
    """Returns whether the folder has a numbers.csv."""
    return (root / TABLE).is_file()


def read(root: Path) -> NumberTable:
    """Returns the table of a folder of pictures with a numbers.csv."""
    numbers, splits, mentions = read_numbers_file(root / TABLE)
    images = locate_images((root, root / "images"), next(iter(numbers)))
    paths = picture_files(images, mentions)
    splits = splits or assign_splits(numbers, root / TABLE)
    records = [NumberRecord(image, number, splits[image], paths[image]) for image, number in numbers.items()]
    return NumberTable(images, records)


def read_numbers_file(path: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Returns number, split (none at all where no row has one) and "file:line" by image; needs no image."""
    numbers: dict[str, str] = {}
    splits: dict[str, str] = {}
    mentions: dict[str, str] = {}
    for where, row in read_csv(path, ("image", "number")):
        image = image_name(row["image"], where)
        if image in mentions:
            raise InputError(f"{where}: image {image} was already in {mentions[image]}")
        mentions[image] = where
        numbers[image] = checked_number(row["number"], where)
        if "split" in row:
            splits[image] = split_name(row["split"], where)
    if not numbers:
        raise InputError(f"{path}: holds no numbers")
    return numbers, splits, mentions
