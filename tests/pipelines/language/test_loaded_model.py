"""What the commands of a language model's checkpoint refuse alike: other files, other devices."""

import pytest
import torch

from pipelines.text import main


@pytest.mark.parametrize("command", ["sample", "complete"])
def test_what_is_no_language_model_is_refused(command, tmp_path, capsys):
    other = tmp_path / "caption.ckpt"
    torch.save({"task": "caption", "state_dict": {}, "hyper_parameters": {}}, other)
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"PK\x03\x04 no")
    for path, cause in (
        (other, "'caption'"),
        (broken, "no readable"),
        (tmp_path / "x.ckpt", "does not exist"),
    ):
        assert main([command, "--ckpt_path", str(path)]) == 2
        err = capsys.readouterr().err
        assert cause in err and err.count("\n") == 1


@pytest.mark.parametrize("command", ["sample", "complete"])
def test_a_device_is_taken_by_name_and_another_refused(command, checkpoint, capsys):
    given = [command, "--ckpt_path", str(checkpoint), "--device"]
    assert main([*given, "cpu"]) == 0
    capsys.readouterr()
    for name, cause in (
        ("cup", "has to be auto, cpu, cuda, cuda:N or mps"),
        ("cuda:99", "cannot be used here"),
        *([] if torch.backends.mps.is_available() else [("mps", "cannot be used here")]),
    ):
        assert main([*given, name]) == 2
        err = capsys.readouterr().err
        assert "--device " in err and cause in err and err.count("\n") == 1 and len(err) < 300
