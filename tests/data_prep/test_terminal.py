"""What an encoding cannot write is shown as ?, which is said once, and stops nothing."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from data_prep.terminal import print_what_can_be_shown, run, saying_how_to_resume

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def written(monkeypatch):
    """Returns a function that prints to a file of an encoding and returns what it holds."""

    def write(encoding, *lines):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", stdout)
        print_what_can_be_shown()
        for line in lines:
            print(line, flush=True)
        return stdout.buffer.getvalue().decode(encoding)

    return write


def test_what_the_encoding_lacks_is_a_question_mark_and_said_once(written, capsys):
    assert written("cp1252", "é☃雪", "☃") == "é??\n?\n"
    (note,) = capsys.readouterr().err.splitlines()
    assert "cp1252" in note and "'\\u2603'" in note and "PYTHONIOENCODING=utf-8" in note
    assert written("ascii", "é") == "?\n"
    assert "output in ascii has no '\\xe9'" in capsys.readouterr().err


def test_half_a_character_stops_nothing_and_there_is_no_remedy_to_name(written, capsys):
    assert written("utf-8", "é☃", "a\udcff") == "é☃\na?\n"
    assert capsys.readouterr().err == ""


def test_what_is_no_file_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    print_what_can_be_shown()
    print("☃")
    assert sys.stdout.getvalue() == "☃\n"


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_a_closed_stream_ends_no_command(tmp_path, closed):
    (tmp_path / "command.py").write_text(
        "import sys\n"
        "from data_prep.terminal import run\n"
        "def main():\n"
        "    print('said'); print('told', file=sys.stderr)\n"
        "    open(sys.argv[1], 'w').write('whole')\n"
        "sys.exit(run(main))\n"
    )
    script = f'"$0" command.py out.txt {closed}'
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script, sys.executable], cwd=tmp_path, env=environment)
    assert done.returncode == 0 and (tmp_path / "out.txt").read_text() == "whole"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
@pytest.mark.parametrize(("unbuffered", "named"), [("", "stdout"), ("1", "stdout or a file")])
def test_a_full_disk_behind_stdout_is_one_line_that_names_it(unbuffered, named):
    command = "import sys; from data_prep.terminal import run; sys.exit(run(lambda: print('said')))"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", command], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
        )
    why = "cannot be read or written (No space left on device)"
    assert (done.returncode, done.stderr) == (2, f"error: {named}: {why}\n")


class Ended(Dataset):
    """Its worker process is ended from outside, as where shared memory or memory is short."""

    def __init__(self, number):
        self.number = number

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGKILL])
def test_a_worker_that_is_ended_is_one_line_with_the_remedy(capfd, number):
    def main():
        list(DataLoader(Ended(number), num_workers=1))

    assert run(main) == 2
    # PyTorch's own line of a bus error comes first, from the worker, with a zero byte behind it
    error = capfd.readouterr().err.strip().splitlines()[-1].strip("\0 ")
    assert error.startswith("error: a worker process was ended") and "Traceback" not in error
    assert "num_workers" in error and "--shm-size" in error


def test_ctrl_c_is_one_line_with_what_goes_on(capsys):
    def stopped(how=""):
        with saying_how_to_resume(lambda: how):
            raise KeyboardInterrupt

    for how, said in (("", "stopped\n"), ("give it again", "stopped: give it again\n")):
        assert run(lambda how=how: stopped(how)) == 130
        assert capsys.readouterr().err == said


def test_ctrl_c_stays_what_it_is_where_a_library_ends_the_program(capsys):
    def ending():
        with saying_how_to_resume(lambda: "give it again"):
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                sys.exit(1)

    assert run(ending) == 130
    assert capsys.readouterr().err == "stopped: give it again\n"


def sent() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def workers_gone() -> None:
    raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")


def both() -> None:
    try:
        sent()
    finally:
        workers_gone()


@pytest.fixture(autouse=True)
def of_children():
    """Keeps what hears of children that end, as SIGTERM takes it away."""
    before = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    yield
    if before is not None:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("stop", [sent, workers_gone, both])
def test_sigterm_is_one_line_and_status_143_and_all_is_cleaned_up(capsys, stop):
    cleaned = []

    def terminated():
        with saying_how_to_resume(lambda: "give it again"):
            try:
                stop()
            finally:
                sent() if stop is sent else None  # `timeout` sends two
                cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    assert run(terminated) == 143
    assert capsys.readouterr().err == "terminated: give it again\n" and cleaned
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_while_an_object_is_taken_away_comes_once_it_is(capsys):
    class Workers:
        def __del__(self):  # in which an exception is printed and forgotten
            sent()
            gone.append(True)

    def terminated():
        workers = Workers()
        del workers
        time.sleep(10)

    gone = []
    assert run(terminated) == 143
    assert capsys.readouterr().err == "terminated\n" and gone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_process_that_was_forked_is_ended_by_sigterm_without_a_word(capfd):
    def forking():
        if (child := os.fork()) == 0:
            sent()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM

    assert run(forking) == 0
    assert capfd.readouterr().err == ""
