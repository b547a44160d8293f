"""`predict --reduced_precision` and `--cuda_graphs`: a word where the processor has neither."""

import numpy as np
import pytest
import torch

from data_prep.captions import onnx_encoders
from modules.captioning import writing
from modules.encoders.eight_bits import multiplies_eight_bits
from pipelines.captioning import predict as predict_module

REDUCED = ["--reduced_precision", "true"]


@pytest.fixture
def graphs(monkeypatch, tmp_path):
    """The folder of encoders' graphs; one is worth making for any number of images."""
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(onnx_encoders, "REPAID_BY", 0)
    return tmp_path / "cache" / "encoders"


def test_a_processor_without_instructions_for_it_says_so_and_captions_as_ever(
    predict, tmp_path, monkeypatch, graphs, capsys
):
    for module in (onnx_encoders, predict_module):
        monkeypatch.setattr(module, "multiplies_eight_bits", lambda _: False)
    for module in (onnx_encoders, predict_module, writing):
        monkeypatch.setattr(module, "fast_dtype", lambda _: torch.float32)
    plain = predict(tmp_path / "plain.jsonl")
    assert "reduced_precision" not in capsys.readouterr().err
    assert predict(tmp_path / "reduced.jsonl", *REDUCED) == plain
    said = capsys.readouterr().err
    assert "warning: reduced_precision: this processor has no instructions for it" in said
    assert not [file for file in graphs.iterdir() if "8bits" in file.name]


@pytest.mark.skipif(not multiplies_eight_bits("cpu"), reason="this processor has no products of 8 bits")
def test_a_processor_with_them_uses_them_and_the_same_command_says_the_same(
    predict, tmp_path, monkeypatch, graphs, capsys
):
    monkeypatch.setattr(writing, "fast_dtype", lambda _: torch.bfloat16)
    plain = predict(tmp_path / "plain.jsonl")
    reduced = predict(tmp_path / "reduced.jsonl", *REDUCED)
    assert "warning: reduced" not in capsys.readouterr().err
    assert [file.suffix for file in graphs.iterdir() if "8bits" in file.name] == [".onnx"]
    assert [row["image"] for row in reduced] == [row["image"] for row in plain]
    exact, rounded = (np.array([row["score"] for row in rows if "score" in row]) for rows in (plain, reduced))
    assert 0 < np.abs(rounded - exact).mean() < 0.1 * np.abs(exact).mean()
    assert predict(tmp_path / "again.jsonl", *REDUCED) == reduced


def test_a_cpu_has_no_cuda_graphs_says_so_and_captions_as_ever(predict, tmp_path, capsys):
    plain = predict(tmp_path / "plain.jsonl", "--device", "cpu")
    assert "cuda_graphs" not in capsys.readouterr().err
    assert predict(tmp_path / "graphs.jsonl", "--device", "cpu", "--cuda_graphs", "true") == plain
    why = "captions are written on cpu, and only NVIDIA GPUs have CUDA graphs"
    assert f"note: cuda_graphs has no effect: {why}" in capsys.readouterr().err.splitlines()
