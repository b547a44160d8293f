"""What the door to driving data prints of a recording, and how it fails."""

from pathlib import Path

import pytest

from data_prep.driving import FORMATS
from data_prep.driving.__main__ import main
from data_prep.driving.table import read_drive_csv, write_drive_csv
from tests.data_prep.driving.driving_folders import drive, drives


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = drives(tmp_path / "data", [30, 20], drawn=True, speed_mps=10.0)
    table.time_s[10:30] += 5
    write_drive_csv(table, tmp_path / "data/drive.csv")
    output = tmp_path / "out/drive.csv"
    assert main([str(tmp_path / "data"), "--output", str(output)]) == 0
    printed = capsys.readouterr()
    row = next(line.split() for line in printed.out.splitlines() if line.split()[:2] == ["a", "center"])
    assert row[2:6] == ["30", "1", "20.0", "1"] and row[6:] == ["+0.145", "0.087", "+0.000", "+0.290", "10.0"]
    assert "2 drives" in printed.out and "wrote 50 frames" in printed.out and printed.err == ""
    assert list(dict.fromkeys(read_drive_csv(output).drive.tolist())) == ["a", "a~2", "b"]

    write_drive_csv(drive(tmp_path / "more", 9, drawn=True), tmp_path / "more/drive.csv")
    assert main([str(tmp_path / "more"), str(tmp_path / "data"), "--format", "drive"]) == 0
    assert "3 drives" in capsys.readouterr().out

    assert main([str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent'}: no such file or folder\n"


def test_faults_go_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_drive_csv(drive(tmp_path, 60, angle_rad=0.0), tmp_path / "drive.csv")
    assert main([str(tmp_path)]) == 0
    err = capsys.readouterr().err
    assert err.count("warning: ") == 2 and "all 60 angles are 0" in err and "all images are absent" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: dir"),
        (["absent", "--format", "road"], "absent: no such file or folder"),
        ([".", "--format", "udacty"], "did you mean 'udacity'"),
        (["."], "no drives in a known format"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_names_every_format(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in FORMATS) and "draw DIR" in printed
