"""Frozen encoders in ONNX Runtime: the same annotations, from a graph that is made once."""

from pathlib import Path

import pytest
import torch

from data_prep.captions import onnx_encoders
from data_prep.captions.onnx_encoders import REPAID_BY, hasten
from modules.encoders import image
from modules.encoders.eight_bits import multiplies_eight_bits
from modules.encoders.image import ImageEncoder
from modules.encoders.inference import FastPath, OnnxPath
from modules.errors import InputError
from modules.onnx_graphs import Graph, write_graph
from tests.unchecked import unchecked

CPU = torch.device("cpu")
MANY = 1 + REPAID_BY // 64**2  # images of 64 px


def small_encoder() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder("resnet10t", image_size=64, weights="none")


def path_of(encoder: ImageEncoder) -> type:
    """What the encoder encodes by."""
    encoder.encode(images(1))
    assert encoder._fast is not None
    return type(encoder._fast[1])


def images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("graph") / "deeper" / "encoder.onnx"
    with unchecked():
        small_encoder().use_onnx(file)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return file


@pytest.fixture
def float32_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A CPU without bfloat16, and the folder of its graphs."""
    monkeypatch.setattr(onnx_encoders, "fast_dtype", lambda device: torch.float32)
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path))
    return tmp_path / "encoders"


def test_annotations_are_those_of_pytorch_whatever_the_batch(graph: Path) -> None:
    encoder, pixels = small_encoder(), images(11)
    expected = encoder(pixels)
    encoder.use_onnx(graph)
    found = encoder.encode(pixels)
    assert path_of(encoder) is OnnxPath
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(torch.cat([encoder.encode(pixels[:1]), encoder.encode(pixels[1:])]), found)


def test_a_changed_weight_is_never_overlooked(graph: Path) -> None:
    encoder, pixels = small_encoder(), images(2)
    encoder.use_onnx(graph)
    before = encoder.encode(pixels)
    with torch.no_grad():
        next(encoder.trunk.parameters()).mul_(2)
    assert path_of(encoder) is FastPath
    assert not torch.allclose(encoder.encode(pixels), before)


def test_a_damaged_graph_is_made_again(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "encoder.onnx"
    file.write_bytes(graph.read_bytes()[:1000])
    monkeypatch.setattr(image, "write_graph", lambda _, path: path.write_bytes(graph.read_bytes()))
    encoder = small_encoder()
    encoder.use_onnx(file)
    assert file.read_bytes() == graph.read_bytes()


def test_a_graph_that_computes_something_else_is_refused(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "write_graph", lambda _, path: path.write_bytes(graph.read_bytes()))
    other = ImageEncoder("resnet10t", image_size=64, weights="none")
    with pytest.raises(InputError, match="computes something else"):
        other.use_onnx(tmp_path / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []
    assert path_of(other) is FastPath


def test_a_graph_is_made_for_many_images_and_then_used_for_one(
    graph: Path, float32_processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def write(_: object, path: Path) -> None:
        made.append(path)
        path.write_bytes(graph.read_bytes())

    monkeypatch.setattr(image, "write_graph", write)
    encoder = small_encoder()
    hasten(encoder, MANY - 1, CPU)
    assert path_of(encoder) is FastPath
    hasten(encoder, MANY, "cpu")
    assert path_of(encoder) is OnnxPath
    again = small_encoder()
    hasten(again, 1, CPU)
    assert path_of(again) is OnnxPath
    assert len(made) == 1
    assert [path.suffix for path in sorted(float32_processor.iterdir())] == [".onnx", ""]


def test_what_cannot_be_exported_stays_with_pytorch(
    float32_processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, path: Path) -> None:
        raise InputError("PyTorch cannot export this network")

    monkeypatch.setattr(image, "write_graph", refuse)
    encoder = small_encoder()
    hasten(encoder, MANY, CPU)
    assert path_of(encoder) is FastPath


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float32), ("cpu", torch.bfloat16)])
def test_gpus_and_bfloat16_stay_with_pytorch(
    float32_processor: Path, monkeypatch: pytest.MonkeyPatch, device: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(onnx_encoders, "fast_dtype", lambda _: dtype)
    encoder = small_encoder()
    hasten(encoder, MANY, device)
    assert not float32_processor.exists() and path_of(encoder) is FastPath


@pytest.mark.skipif(not multiplies_eight_bits("cpu"), reason="this processor has no products of 8 bits")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bits_have_a_graph_of_their_own_where_the_processor_multiplies_them(
    float32_processor: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(onnx_encoders, "fast_dtype", lambda _: dtype)
    encoder, pixels = small_encoder(), onnx_encoders._drawn_images(64)[:11]
    expected = encoder(pixels)
    with unchecked():
        hasten(encoder, MANY, CPU, eight_bits=True)
    found = encoder.encode(pixels)
    assert path_of(encoder) is OnnxPath
    assert 1e-3 < (found - expected).norm() / expected.norm() < 0.2
    assert torch.equal(torch.cat([encoder.encode(pixels[:1]), encoder.encode(pixels[1:])]), found)
    (file,) = float32_processor.glob("*.onnx")
    assert file.stem.endswith("-8bits")


def test_a_processor_without_such_products_encodes_as_if_it_had_not_been_asked(
    graph: Path, float32_processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_encoders, "multiplies_eight_bits", lambda _: False)
    monkeypatch.setattr(image, "write_graph", lambda _, path: path.write_bytes(graph.read_bytes()))
    hasten(small_encoder(), MANY, CPU, eight_bits=True)
    (file,) = float32_processor.glob("*.onnx")
    assert not file.stem.endswith("-8bits")


def test_a_graph_in_eight_bits_that_computes_something_else_is_not_used(
    float32_processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(graph: Path, images: torch.Tensor, file: Path) -> None:
        other = small_encoder()
        torch.nn.init.normal_(next(other.trunk.parameters()))
        write_graph(Graph("encoder", other, (images[:2],), ["images"], ["annotations"], strict=False), file)

    monkeypatch.setattr(onnx_encoders, "multiplies_eight_bits", lambda _: True)
    monkeypatch.setattr(image, "write_eight_bits", spoil)
    encoder = small_encoder()
    with unchecked():
        hasten(encoder, MANY, CPU, eight_bits=True)
    assert path_of(encoder) is FastPath and not list(float32_processor.glob("*onnx*"))
