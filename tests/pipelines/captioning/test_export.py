"""The `export` command: three ONNX graphs, run without PyTorch, decode what PyTorch decodes."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from modules import onnx_graphs
from modules.captioning.captioner import Captioner
from modules.captioning.preprocessing import EvalTransform
from modules.decoders.captions import DecoderOptions
from modules.decoding import DecodingOptions, decode
from modules.encoders.image import EncoderOptions
from modules.errors import InputError
from modules.images import read_image
from modules.vocabulary import Vocabulary
from pipelines.caption import main
from pipelines.captioning import export as exporting
from tests.unchecked import unchecked

MAX_LENGTH = 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A captioner whose encoder has few layers: the exporter takes ten seconds more for MobileNet."""
    model = small_captioner(DecoderOptions())
    model.decoding = DecodingOptions(beam_size=2, max_length=12)
    stored = {"hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    model.on_save_checkpoint(stored)
    path = tmp_path_factory.mktemp("small") / "best.ckpt"
    torch.save(stored, path)
    return path


def small_captioner(options):
    options.embedding_size = options.hidden_size = options.attention_size = 8
    model = Captioner(EncoderOptions("resnet10t", image_size=64, weights="none"), options)
    model.use_vocabulary(Vocabulary(["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(20))]))
    return model.eval()


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    return export(checkpoint, tmp_path_factory.mktemp("export"))


def export(checkpoint, folder):
    output = folder / "made" / "onnx"
    with unchecked():
        assert main(["export", "--ckpt_path", str(checkpoint), "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def images(captioned_folder):
    transform = EvalTransform(64, "squash")
    files = sorted((captioned_folder / "images").iterdir())[:6]
    return torch.stack([transform(read_image(file)) for file in files])


class OnnxCaptioner:
    """Greedy decoding with numpy and onnxruntime, which knows the folder and nothing else."""

    def __init__(self, folder):
        self.about = json.loads((folder / "captioner.json").read_text())
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / graph["file"])
            for name, graph in self.about["graphs"].items()
            if (folder / graph["file"]).exists()
        }

    def run(self, name, values):
        graph = self.about["graphs"][name]
        results = self.sessions[name].run(graph["outputs"], {key: values[key] for key in graph["inputs"]})
        return dict(zip(graph["outputs"], results, strict=True))

    def greedy(self, annotations):
        """Returns the tokens (B, T) and the logits (B, T, V) behind them."""
        about, values = self.about, {"annotations": annotations}
        values |= self.run("init", values)
        tokens = np.full(len(annotations), about["bos"])
        all_tokens, all_logits = [], []
        for t in range(MAX_LENGTH):
            result = self.run("step", values | {"tokens": tokens})
            values |= {name: result[after] for name, after in about["recurrent"].items()}
            all_logits.append(result["logits"].copy())
            result["logits"][:, [about["pad"], about["bos"], about["unk"]]] = -np.inf
            if t == 0:
                result["logits"][:, about["eos"]] = -np.inf
            tokens = result["logits"].argmax(1)
            all_tokens.append(tokens)
        return np.stack(all_tokens, 1), np.stack(all_logits, 1)


def torch_greedy(model, annotations):
    options = DecodingOptions(method="greedy", max_length=MAX_LENGTH)
    hypotheses = decode(
        model.decoder.step, model.decoder.init_state(annotations), options, images=len(annotations)
    )
    return [hypothesis.tokens for hypothesis in hypotheses]


def assert_same_decoding(onnx_captioner, model, annotations):
    """Compares tokens, and logits of the teacher-forced decoder, at several batch sizes."""
    expected = torch_greedy(model, annotations)
    for batch in (1, 3):
        for start in range(0, len(annotations), batch):
            mine = annotations[start : start + batch]
            tokens, logits = onnx_captioner.greedy(mine.numpy())
            with torch.no_grad():
                given = np.concatenate([np.full((len(mine), 1), Vocabulary.BOS), tokens[:, :-1]], 1)
                teacher_forced, _ = model.decoder(mine, torch.from_numpy(given))
            np.testing.assert_allclose(logits, teacher_forced.numpy(), rtol=0, atol=1e-4)
            for row, words in zip(tokens.tolist(), expected[start : start + batch], strict=True):
                ended = row.index(Vocabulary.EOS) if Vocabulary.EOS in row else len(row)
                assert row[:ended] == words
    # the images make a difference that is far above the tolerance
    assert np.abs(np.diff(onnx_captioner.greedy(annotations.numpy())[1][:, 0], axis=0)).max() > 1e-2


@pytest.mark.slow
def test_greedy_decoding_of_a_trained_model_is_that_of_pytorch(finished_run, images, tmp_path):
    checkpoint = finished_run / "checkpoints" / "best.ckpt"
    model, onnx_captioner = Captioner.load(checkpoint), OnnxCaptioner(export(checkpoint, tmp_path))
    assert onnx_captioner.about["grid"] == [2, 2]
    with torch.no_grad():
        annotations = model.encoder(images)  # in float32, which the fast path may not be
    for batch in (1, 3):
        for some, expected in zip(images.split(batch), annotations.split(batch), strict=True):
            result = onnx_captioner.run("encoder", {"images": some.numpy()})["annotations"]
            np.testing.assert_allclose(result, expected.numpy(), rtol=0, atol=1e-4)
    assert_same_decoding(onnx_captioner, model, annotations)


def test_attention_is_exported(exported, checkpoint):
    model, onnx_captioner = Captioner.load(checkpoint), OnnxCaptioner(exported)
    annotations = 5 * torch.randn(
        2, model.encoder.locations, model.encoder.annotation_size, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        _, _, alpha = model.decoder.step(torch.tensor([4, 5]), model.decoder.init_state(annotations))
    values = {"annotations": annotations.numpy(), "tokens": np.array([4, 5])}
    result = onnx_captioner.run("step", values | onnx_captioner.run("init", values))
    assert alpha.std() > 1e-3
    np.testing.assert_allclose(result["alpha"], alpha.numpy(), rtol=0, atol=1e-5)


def test_description_says_all_that_captioning_needs(exported, checkpoint):
    about, model = json.loads((exported / "captioner.json").read_text()), Captioner.load(checkpoint)
    assert about["words"] == model.vocabulary.words
    assert [about["words"][about[name]] for name in ("pad", "bos", "eos", "unk")] == about["words"][:4]
    assert (about["image_size"], about["resize"], about["grid"]) == (64, "squash", [2, 2])
    assert about["mirrored"] is False
    assert about["decoding"] == asdict(model.decoding)
    assert about["decoding"]["max_length"] == 12  # as configs/debug/caption.yaml has it
    assert about["graphs"]["init"]["outputs"] == ["projected", "hidden_1", "cell_1"]
    for graph in about["graphs"].values():
        session = onnxruntime.InferenceSession(exported / graph["file"])
        assert [value.name for value in session.get_inputs()] == graph["inputs"]
        assert [value.name for value in session.get_outputs()] == graph["outputs"]
        assert {value.shape[0] for value in session.get_inputs() + session.get_outputs()} == {"batch"}
        # no paths of the machine that exported
        root = str(Path(exporting.__file__).parents[1])
        assert root.encode() not in (exported / graph["file"]).read_bytes()
    assert session.get_inputs()[0].type == "tensor(int64)"
    # made whole: the temporary folder is gone
    assert [path.name for path in exported.parent.iterdir()] == ["onnx"]


def test_measured_difference_sees_other_weights(exported, checkpoint):
    model = Captioner.load(checkpoint)
    same = exporting.compare(model, exported)
    assert set(same) == {"annotations", "logits"}
    assert max(same.values()) < 1e-4
    with torch.no_grad():
        model.decoder.output.bias[7] += 0.5
    other = exporting.compare(model, exported)
    assert other["logits"] == pytest.approx(0.5, abs=1e-3)
    assert other["annotations"] == same["annotations"]


@pytest.mark.parametrize(
    ("options", "init"),
    [
        pytest.param(
            DecoderOptions(kind="show_and_tell", cell="gru", layers=2),
            ["hidden_1", "hidden_2"],
            id="show_and_tell gru",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            DecoderOptions(cell="rnn", attention="multiplicative", gate=False, context_size=6),
            ["context", "projected", "hidden_1"],
            id="mapped annotations, multiplicative",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            DecoderOptions(hard=True), ["projected", "hidden_1", "cell_1"], id="hard", marks=pytest.mark.slow
        ),
        pytest.param(
            DecoderOptions(kind="adaptive", cell="lstm"),
            ["context", "projected", "image", "hidden_1", "cell_1"],
            id="adaptive",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            DecoderOptions(kind="att2in", cell="lstm", maxout=True),
            ["projected", "hidden_1", "cell_1"],
            id="att2in",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            DecoderOptions(kind="top_down", cell="gru", layers=2),
            ["projected", "image", "hidden_1", "hidden_2", "hidden_3"],
            id="top_down",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_kind_of_decoder_is_exported(options, init, tmp_path, monkeypatch):
    model = small_captioner(options)
    graphs = exporting.graphs_of(model)
    monkeypatch.setattr(onnx_graphs, "PROTOBUF_LIMIT", 100)  # weights beside the graph
    with unchecked():
        for graph in graphs[1:]:
            exporting.write_graph(graph, tmp_path / graph.file)
    assert (tmp_path / "step.onnx.data").exists()
    about = exporting.describe(model, graphs)
    assert about["graphs"]["init"]["outputs"] == init
    (tmp_path / "captioner.json").write_text(json.dumps(about))
    annotations = torch.randn(
        6, model.encoder.locations, model.encoder.annotation_size, generator=torch.Generator().manual_seed(1)
    )
    assert_same_decoding(OnnxCaptioner(tmp_path), model, annotations)


def test_existing_output_is_left_as_it_is(checkpoint, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    for output in (tmp_path, tmp_path / "notes.txt"):
        assert main(["export", "--ckpt_path", str(checkpoint), "--output", str(output)]) == 2
        message = capsys.readouterr().err
        assert f"{output}: exists already" in message
        assert message.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_absent_checkpoint_is_one_line(tmp_path, capsys):
    output = tmp_path / "out"
    absent = tmp_path / "no.ckpt"
    assert main(["export", "--ckpt_path", str(absent), "--output", str(output)]) == 2
    assert f"{absent}: does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_failed_export_leaves_nothing(tmp_path, checkpoint, monkeypatch):
    def fail(graph, path):
        path.write_bytes(b"half")
        raise InputError("cannot be exported")

    monkeypatch.setattr(exporting, "write_graph", fail)
    with pytest.raises(InputError, match="cannot be exported"):
        exporting.export(tmp_path / "deep" / "out", checkpoint)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        exporting.export(blocked / "out", checkpoint)
