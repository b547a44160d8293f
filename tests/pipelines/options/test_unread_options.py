"""Options that the chosen kind does not read are refused by name; what says who reads them is true."""

import importlib

import pytest
import torch

from modules.decoders import captions, steering
from modules.decoders.captions import DecoderOptions
from modules.decoders.language import LanguageDecoderOptions
from modules.decoders.steering import SteeringDecoderOptions
from modules.language import language_model
from modules.steering.encoder import SteeringEncoderOptions, build_encoder
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from pipelines import cli

STEER, TEXT = "configs/steer/{}.yaml", "configs/text/{}.yaml"
BUILT = {
    SteeringEncoderOptions: (
        ("pilotnet", "clip", "chauffeur", "pretrained"),
        lambda options: build_encoder(options, FramePreprocessing(66, 128)),
    ),
    SteeringDecoderOptions: (steering.DECODERS, lambda options: steering.DECODERS[options.kind](8, options)),
    DecoderOptions: (captions.DECODERS, lambda options: captions.DECODERS[options.kind](9, 8, options)),
    LanguageDecoderOptions: (
        language_model.DECODERS,
        lambda options: language_model.DECODERS[options.kind](9, options),
    ),
}
SMALL = {
    "name": "mobilenetv3_small_050",
    "stage": 1,
    "weights": "none",
    "channels": 4,
    "kernels": (3, 3, 3, 3),
}


@pytest.mark.parametrize(
    ("options", "kind"), [(options, kind) for options, (kinds, _) in BUILT.items() for kind in kinds]
)
def test_what_a_kind_reads_is_what_it_is_said_to_read(options, kind):
    read = set()

    class Recorder(options):
        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    given = Recorder(kind=kind, **(SMALL if options is SteeringEncoderOptions else {}))
    read.clear()
    BUILT[options][1](given)
    assert read & options.read_by.keys() == {name for name, kinds in options.read_by.items() if kind in kinds}


@pytest.fixture
def composed(monkeypatch):
    """Returns a function that composes what fit is asked for and gives the model's options."""

    class Composed(Exception):
        pass

    def stop(self, config):
        raise Composed(config.model)

    monkeypatch.setattr(cli.RunCLI, "_choose_run_folder", stop)

    def run(task, *arguments):
        with pytest.raises(Composed) as found:
            importlib.import_module(f"pipelines.{task}").main(["fit", *arguments])
        return found.value.args[0]

    return run


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        (
            "steer",
            ["--config", STEER.format("pilotnet"), "--data.root", ".", "--model.encoder.channels", "8"],
            "model.encoder.channels is 8; the pilotnet encoder has no such option; it is read by clip",
        ),
        (
            "steer",
            ["--model.encoder.kind", "chauffeur", "--model.encoder.kernels", "[3,3,3,3]"],
            "model.encoder.kernels is [3, 3, 3, 3]; the chauffeur encoder has no such option; "
            "it is read by clip",
        ),
        (
            "steer",
            ["--config", STEER.format("komanda"), "--data.root", ".", "--model.decoder.dense_size", "7"],
            "model.decoder.dense_size is 7; the autoregressive decoder has no such option; "
            "it is read by recurrent, window",
        ),
        (
            "text",
            ["--model.decoder.kind", "fixed_window", "--model.decoder.layers", "3"],
            "model.decoder.layers is 3; the fixed_window decoder has no such option; it is read by recurrent",
        ),
        (
            "text",
            ["--model.training.optimizer", "adagrad", "--model.training.weight_decay", "0.1"],
            "model.training.weight_decay is 0.1; the adagrad optimizer has no such option; "
            "it is read by adamw",
        ),
        (
            "caption",
            ["--model.decoder.kind", "show_and_tell", "--model.decoder.gate", "false"],
            "model.decoder.gate is False; the show_and_tell decoder has no such option; "
            "it is read by show_attend_tell",
        ),
    ],
)
def test_an_option_that_the_kind_does_not_read_is_refused(task, arguments, said, capsys, monkeypatch):
    monkeypatch.setattr("pipelines.front_door.QUICK_S", 600)  # however slow the machine is
    assert importlib.import_module(f"pipelines.{task}").main(["fit", *arguments]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_what_the_file_gives_for_its_own_kind_goes_with_it(composed):
    encoder = composed("steer", "--model.encoder.kind", "pilotnet").encoder
    assert (encoder.channels, encoder.kernels) == (64, (12, 5, 5, 5))  # road.yaml has others, for clip
    decoder = composed("text", "--model.decoder.kind", "fixed_window", "--model.decoder.window", "5").decoder
    assert (decoder.connection, decoder.window) == ("plain", 5)


def test_a_checkpoint_with_such_options_loads(tmp_path):
    encoder = SteeringEncoderOptions(kind="pilotnet", channels=8)
    model = Steerer(FramePreprocessing(66, 66), encoder, SteeringDecoderOptions(window=9))
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "best.ckpt")
    assert Steerer.load(tmp_path / "best.ckpt").encoder_options.channels == 8


def test_options_are_named_in_caches_as_before():
    assert repr(SteeringEncoderOptions()) == (
        "SteeringEncoderOptions(kind='pilotnet', dropout=0.0, channels=64, kernels=(12, 5, 5, 5), "
        "strides=(6, 2, 1, 1), time_kernels=(3, 2, 2, 2), pool=None, dense_sizes=(1024, 512, 256), "
        "feature_size=128, name='efficientnet_lite0', stage='last', weights='imagenet', finetune_from=None, "
        "downscale=1, flow=None, flow_refinements=5)"
    )
