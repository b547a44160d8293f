"""Chauffeur's CNN to the parameter, and its LSTM over windows against one window at a time."""

import pytest
import torch
from torch import nn

from modules.decoders.steering import SteeringDecoderOptions, WindowDecoder
from modules.encoders.chauffeur import ChauffeurEncoder, same_convolution
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.options import SteeringTrainingOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_first_stage_has_102345_parameters_and_3840_features():
    model = Steerer(
        FramePreprocessing(120, 320, crop_top=0.5, colours="yuv", equalise=True),
        SteeringEncoderOptions(kind="chauffeur", dropout=0.1),
        SteeringDecoderOptions(kind="window", hidden_size=8, window=3),
        SteeringTrainingOptions(pretrain_epochs=1),
    ).single_frame_model()
    assert sum(parameter.numel() for parameter in model.parameters()) == 102_345
    assert model.encoder.feature_size == 3840
    assert model.encode(torch.zeros(1, 1, 3, 120, 320, dtype=torch.uint8)).shape == (1, 1, 3840)


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_padding_is_that_of_same_convolutions(kernel):
    torch.manual_seed(0)
    pad, convolution = same_convolution(2, 3, kernel)
    x = torch.randn(1, 2, 9, 10)
    expected = nn.functional.conv2d(x, convolution.weight, convolution.bias, padding="same")
    torch.testing.assert_close(convolution(pad(x)), expected)


def test_drops_whole_channels():
    torch.manual_seed(0)
    encoder = ChauffeurEncoder(32, 32, dropout=0.5).train()
    seen = []
    dropouts = [layer for layer in encoder.layers if isinstance(layer, nn.Dropout2d)]
    dropouts[0].register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    encoder.encode(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8))
    given, kept = seen[0]
    gone = (kept == 0).flatten(2).all(-1) & (given != 0).flatten(2).any(-1)
    left = (kept - 2 * given).abs().flatten(2).amax(-1) < 1e-5
    assert (gone | left).all() and gone.any()


def one_window(decoder: WindowDecoder, window: torch.Tensor) -> torch.Tensor:
    """Returns the output after frames (W, D), by PyTorch's own LSTM."""
    (cell,) = decoder.rnn.cells
    lstm = nn.LSTM(window.shape[1], decoder.rnn.hidden_size, batch_first=True)
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            getattr(lstm, f"{name}_l0").copy_(weight)
    steps, _ = lstm(window.unsqueeze(0))  # (1, W, H)
    return decoder.output(torch.relu(decoder.dense(steps.flatten(1))))[0]


def test_side_by_side_the_windows_say_what_each_says_alone():
    torch.manual_seed(0)
    decoder = WindowDecoder(6, SteeringDecoderOptions(kind="window", hidden_size=5, window=4, dense_size=7))
    decoder.eval()
    features = torch.randn(2, 9, 6)
    outputs, _ = decoder(features, decoder.init_state(2))
    for row in range(2):
        padded = torch.cat([features[row, :1]] * 3 + [features[row]])  # the first frame fills up
        for t in range(9):
            expected = one_window(decoder, padded[t : t + 4])
            torch.testing.assert_close(outputs[row, t], expected, rtol=0, atol=1e-5)


def test_a_frame_older_than_the_window_is_forgotten():
    torch.manual_seed(0)
    decoder = WindowDecoder(6, SteeringDecoderOptions(kind="window", hidden_size=5, window=4)).eval()
    features = torch.randn(1, 10, 6)
    before, _ = decoder(features, decoder.init_state(1))
    features[:, 2] += 1
    after, _ = decoder(features, decoder.init_state(1))
    changed = (after - before).abs().amax(-1)[0] > 1e-7
    assert changed.tolist() == [False] * 2 + [True] * 4 + [False] * 4
