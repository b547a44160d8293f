"""What is left out is named: twenty at the place, all in a file."""

from pathlib import Path

from data_prep.left_out import SHOWN, listing_of, naming, warn_of


def test_a_few_are_named_and_many_are_listed(tmp_path: Path) -> None:
    listing = listing_of(tmp_path / "photos", "train", tmp_path / "cache")
    assert (
        naming("1 file left out", ["a.jpg: is empty"], listing)
        == "1 file left out, the first a.jpg: is empty"
    )
    assert naming("1", ["\x1b[31m\n.jpg"], listing) == "1, the first �[31m�.jpg"
    names = [f"{number}.jpg" for number in range(SHOWN + 3)]
    assert naming("20 left out", names[:SHOWN], listing).split("\n")[1:] == [
        f"  {name}" for name in names[1:SHOWN]
    ]
    assert not listing.exists()
    said = naming("23 left out", [*names[:-1], "\udcff.jpg"], listing).split("\n")
    assert len(said) == SHOWN + 1 and said[-1] == f"  and 3 more; all are listed in {listing}"
    assert listing.read_text().splitlines() == [*names[:-1], "\\udcff.jpg"]


def test_data_sets_and_their_parts_have_lists_of_their_own(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "photos", tmp_path / "b" / "photos"]
    assert len({listing_of(folder, part) for folder in folders for part in ("train", "val")}) == 4


def test_the_first_of_many_are_warned_of(capsys) -> None:
    names = [f"{number}.jpg" for number in range(SHOWN + 3)]
    warn_of(names[:SHOWN], "more cannot be read")
    warn_of(names, "more cannot be read")
    first = [f"warning: {name}" for name in names[:SHOWN]]
    assert capsys.readouterr().err.splitlines() == [*first, *first, "warning: 3 more cannot be read"]
