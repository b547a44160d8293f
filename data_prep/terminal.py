"""What every command does at a terminal: it prints whatever the encoding, and has one way to fail."""

from __future__ import annotations

import codecs
import io
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from modules.errors import InputError, tell

_SHOWN = "seqsight-shown"
# what PyTorch says of a worker process, and of shared memory that it cannot write its batch to
_ENDED = re.compile(
    r"DataLoader worker .* (?:is killed by signal: ([^.]*)|exited unexpectedly)"
    r"|unable to .* </?torch_[^>]*>.*: (.*) \(\d+\)"
)
_AGAIN_S = 0.05  # until SIGTERM is looked at once more


def open_what_is_closed() -> None:
    """Lets what is printed go nowhere where a stream was closed (`>&-`), instead of failing."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)  # a file that was opened since has its number
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)  # or the next file that is opened would have it
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
            setattr(sys, name, Path(os.devnull).open("w" if number else "r"))  # noqa: SIM115  to the end


def print_what_can_be_shown() -> None:
    """Lets stdout write ? for a character that its encoding lacks, which stderr says once.

    Windows writes to files and pipes in an old encoding of the country, such as cp1252. Half a character, as
    a file's name can hold, has no place in UTF-8 either.
    """
    said: list[str] = []

    def shown(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        if not said and not error.encoding.startswith("utf"):
            said.append(error.object[error.start])
            encoding = getattr(sys.stdout, "encoding", error.encoding)
            print(
                f"note: output in {encoding} has no {said[0]!a}, which is written as ?, as others may be; "
                "PYTHONIOENCODING=utf-8 writes them all",
                file=sys.stderr,
            )
        return "?" * (error.end - error.start), error.end

    codecs.register_error(_SHOWN, shown)
    # what a test or a notebook puts in its place takes all characters
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_SHOWN)


class Terminated(BaseException):
    """SIGTERM came, which `timeout`, schedulers and a machine that shuts down send."""


def run(main: Callable[[], int | None]) -> int:
    """Returns the exit status of a command: its own, or 2 after one line on what the user can mend."""
    open_what_is_closed()
    print_what_can_be_shown()
    try:
        try:
            with _hearing_sigterm():
                return main() or 0
        finally:
            _flush_stdout()
    except BrokenPipeError:
        # who reads has seen enough, as `head` has
        _drop_stdout()
        return 128 + 13
    except InputError as error:
        _say_once(f"error: {error}")
        return 2
    except OSError as error:
        # what is foreseen is said where it happens; a disk that fills or goes away can be met anywhere
        if error.errno is None:
            raise
        reason = f"cannot be read or written ({error.strerror})"
        tell(f"error: {error.filename or 'stdout or a file'}: {reason}")
        return 2
    except RuntimeError as error:
        how = _end_of_worker(error)
        if how is None:
            raise
        _say_once(
            f"error: a worker process was ended ({how}); memory or shared memory may be short: fewer workers "
            "need less (num_workers 0 none), and docker run --shm-size gives more"
        )
        return 2
    except KeyboardInterrupt as stop:
        _say_once(": ".join(["stopped", *map(str, stop.args)]))
        return 130
    except Terminated as stop:
        _say_once(": ".join(["terminated", *map(str, stop.args)]))
        return 143


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        error.filename = "stdout"
        _drop_stdout()
        raise


def _drop_stdout() -> None:
    """Lets what is left to print go nowhere, or Python would try again at its end and change the status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say_once(line: str) -> None:
    """Prints on stderr; of several processes one speaks, on every machine."""
    if not any(int(os.environ.get(name) or 0) for name in ("LOCAL_RANK", "SLURM_LOCALID")):
        tell(line)


@contextmanager
def saying_how_to_resume(how: Callable[[], str]) -> Iterator[None]:
    """Lets the line that a command ends with after Ctrl-C or SIGTERM say how it goes on.

    Both stay what they are, whatever a library makes of them.

    Args:
        how: Returns that; nothing where all is to be done again.
    """
    try:
        yield
    except BaseException as error:
        stop = _stop_behind(error)
        if stop is None:
            raise
        said = how()
        raise type(stop)(*([said] if said else stop.args)) from None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and those that it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _stop_behind(error: BaseException) -> KeyboardInterrupt | Terminated | None:
    """Returns the Ctrl-C or SIGTERM that an error comes from, if it does."""
    for each in _behind(error):
        if isinstance(each, KeyboardInterrupt | Terminated):
            return each
        if "killed by signal: Terminated" in str(each):  # PyTorch's, of a worker that heard it first
            return Terminated()
    return None


def _end_of_worker(error: BaseException) -> str | None:
    """Returns how a worker process of PyTorch's was ended from outside, if an error comes from that."""
    how = None
    for each in _behind(error):
        if found := _ENDED.search(str(each)):
            how = found[1] or found[2] or how or "why is not known"
    return how


def _in_finaliser(frame: FrameType | None) -> bool:
    """Returns whether an object is taken away, amid which Python prints an exception and forgets it."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def _hearing_sigterm() -> Iterator[None]:
    """Raises Terminated where SIGTERM comes, so that what is to be cleaned up is, as after Ctrl-C."""
    process, came = os.getpid(), -1.0

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if os.getpid() != process:  # one that was forked from this one
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if _in_finaliser(frame):
            again = threading.Timer(_AGAIN_S, os.kill, [process, number])
            again.daemon = True
            again.start()
            return
        distributed, is_alone = sys.modules.get("torch.distributed"), signal.getsignal(signal.SIGTERM) is end
        # Lightning, which hears it first, ends processes that wait for one another
        if not is_alone and distributed and distributed.is_available() and distributed.is_initialized():
            return
        if came < 0 or time.monotonic() - came > 1:  # `timeout` sends two: cleaning up goes on
            came = time.monotonic()
            if hasattr(signal, "SIGCHLD"):  # or PyTorch raises amid the cleaning up, of its workers
                signal.signal(signal.SIGCHLD, lambda *_: None)
            raise Terminated

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        with saying_how_to_resume(str):
            yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
