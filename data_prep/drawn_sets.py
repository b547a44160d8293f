"""Data sets that are drawn: made beside their folder, and moved in once they are complete.

DIR/MARKER     the settings, and the name of what is drawn; written last
DIR/TABLE      what the pictures show
DIR/PICTURES   the pictures
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_prep.cache import in_turn
from modules.errors import InputError
from modules.whole_files import write_whole


@dataclass(frozen=True)
class DrawnSet:
    """How a kind of drawn data set lies in its folder.

    Args:
        what: It holds, in the plural.
        drawing: Names what is drawn. Change it with the pictures, and sets from before are drawn anew.
        marker: Name of the file of settings.
        table: Name of the table.
        pictures: Name of the folder of pictures.
        pattern: Of the pictures in it.
    """

    what: str
    drawing: str
    marker: str
    table: str
    pictures: str
    pattern: str

    def recognises(self, root: Path) -> bool:
        """Returns whether the folder holds such a set."""
        return (root / self.marker).is_file()

    def recorded(self, root: Path) -> dict[str, Any]:
        """Returns the settings a set was drawn with; none where there is no set or they cannot be read."""
        try:
            settings = json.loads((root / self.marker).read_bytes())
        except (OSError, ValueError):
            return {}
        return settings if isinstance(settings, dict) else {}

    def provide(
        self, root: Path, settings: Mapping[str, Any], count: int, draw: Callable[[Path], None]
    ) -> None:
        """Makes the folder hold the set of these settings; what is there already stays.

        The set is made in a folder beside `root` and moved in when it is complete, under a lock. So a killed
        run leaves nothing that is later trusted, and of two processes at once one draws and the other waits.
        A set of other settings is replaced; a folder that holds anything else is an InputError.

        Args:
            root: Folder of the data set.
            settings: All that the set depends on, beside `drawing`.
            count: How many pictures a complete set has.
            draw: Writes table and pictures into an empty folder.
        """
        settings = {**settings, "generator": self.drawing}
        if self._is_complete(root, settings, count):
            return
        root = root.absolute()
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with in_turn(root.parent / f".{root.name}.lock", root):
                if self._is_complete(root, settings, count):
                    return
                is_ours = self.recognises(root)
                if root.exists() and not is_ours and (not root.is_dir() or any(root.iterdir())):
                    raise InputError(
                        f"{root}: holds something else than {self.what}; give a new or an empty folder"
                    )
                for remains in root.parent.glob(f".{root.name}.*.partial"):
                    shutil.rmtree(remains)  # of a killed run: nobody else is here while we hold the lock
                partial = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}.", suffix=".partial"))
                try:
                    draw(partial)
                    (partial / self.marker).write_text(
                        json.dumps(settings, indent=1) + "\n", encoding="utf-8"
                    )
                    partial.chmod((partial / self.pictures).stat().st_mode)  # mkdtemp's is private
                    self._move_in(partial, root)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{root}: cannot be written ({reason}); give another folder") from None

    def _is_complete(self, root: Path, settings: Mapping[str, Any], count: int) -> bool:
        if self.recorded(root) != settings or not (root / self.table).is_file():
            return False
        return sum(1 for _ in (root / self.pictures).glob(self.pattern)) == count

    def _move_in(self, partial: Path, root: Path) -> None:
        """Puts a complete set in place of a former one, its marker last; all else in the folder stays."""
        if not self.recognises(root):
            if root.exists():
                root.rmdir()
            partial.rename(root)
            return
        # made in the partial folder, so that a kill leaves nothing of it in the set's own
        withdrawn = partial / "withdrawn.json"
        withdrawn.write_text("{}\n", encoding="utf-8")
        # from here to the last line the folder is known as ours, and as incomplete
        withdrawn.replace(root / self.marker)
        if (root / self.pictures).is_dir():
            shutil.rmtree(root / self.pictures)
        for name in (self.pictures, self.table, self.marker):
            (partial / name).replace(root / name)


def write_whole_sheet(path: Path, sheet: np.ndarray) -> None:
    """Writes a contact sheet (Hh, Ww, 3) as a PNG that is there whole or not at all.

    Args:
        path: File to write.
        sheet: RGB bytes.

    Raises:
        InputError: It cannot be written.
    """
    _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    try:
        write_whole(path, data.tobytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
