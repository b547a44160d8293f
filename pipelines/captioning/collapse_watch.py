"""Ends self-critical training whose captions are no longer language, however high their reward."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pytorch_lightning import Callback

from modules.captioning.collapse import Writing, collapse_of


class CollapseWatch(Callback):
    """Stops a fit once its captions collapse; the best checkpoint so far is kept.

    Attributes:
        stop_reason: What has become of the captions; None as long as they hold.
    """

    def __init__(self) -> None:
        self.before: Writing | None = None  # of the last validation before self-critical training
        self.stop_reason: str | None = None

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        now = pl_module.evaluation.writing
        if trainer.state.fn != "fit" or trainer.sanity_checking or now is None:
            return
        if trainer.current_epoch < pl_module.reinforces_from or self.before is None:
            self.before = now
        elif collapse := collapse_of(self.before, now):
            self.stop_reason = (
                f"{collapse}; a larger --model.training.reinforce_cross_entropy or a smaller "
                "--model.training.reinforce_learning_rate keeps the language"
            )
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"before": self.before and asdict(self.before)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["before"] and Writing(**state_dict["before"])
