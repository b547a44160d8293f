"""Weights that have to be downloaded, where there is no network."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from modules.encoders.backbones import load_backbone
from modules.errors import InputError


def test_without_a_network_the_hub_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*args: object, **options: object) -> None:
        asked.append(args)
        raise OSError("no route to host")

    session = SimpleNamespace(head=refuse)
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: session)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"resnet18.*cannot be reached.*efficientnet_lite0"):
        load_backbone("resnet18")
    assert len(asked) == 1
    assert not huggingface_hub.constants.HF_HUB_OFFLINE
