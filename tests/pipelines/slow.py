"""A callback that slows training down, for tests that have to interrupt it."""

import time

from pytorch_lightning.callbacks import Callback


class Slowly(Callback):
    def on_train_batch_end(self, *_: object) -> None:
        time.sleep(0.15)
