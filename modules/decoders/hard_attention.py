"""Hard attention: a decoder reads one annotation at every word, and learns by trial which (Xu et al. 2015).

    s_t ~ Multinoulli(alpha_t);  z_t = a_{s_t}                                        (section 4.1, eq. 8-9)
    grad log p(y | s) + R (log p(y | s) - b) grad log p(s) + E grad H(alpha)          (after eq. 12)
    b <- 0.9 b + 0.1 log p(y | s)

It estimates the gradient of `sum_s p(s) log p(y | s)`, a lower bound of log p(y) (eq. 10-11), from one draw a
caption. The baseline b lowers its variance, the entropy H keeps it from settling too early. For half of the
captions a draw is its expected value, alpha, as in the paper. Captions are written with the most probable
location of every word. The paper leaves the choice open; alpha instead makes worse captions, as
configs/README.md says.

Axis letters: B captions, T words, L locations.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.vocabulary import Vocabulary

EXPECTED = 0.5  # probability that a caption's draws are their expected value
DECAY = 0.9  # of the baseline
REINFORCE, ENTROPY = 1.0, 0.01  # R and E
TINY = 1e-30  # least probability that has a logarithm of its own


def most_probable(alpha: Float[Tensor, "*N L"]) -> Float[Tensor, "*N L"]:
    """Returns weights that are 1 at the most probable location and 0 elsewhere."""
    return torch.zeros_like(alpha).scatter(-1, alpha.argmax(-1, keepdim=True), 1.0)


class Draw:
    """Where a decoder in training looks: called with alpha of each word in turn, it returns weights.

    Args:
        rows: Captions B.
        device: Where they are.
        expected: Probability that a caption's weights are alpha itself.
    """

    def __init__(self, rows: int, device: torch.device | None = None, expected: float = EXPECTED) -> None:
        self.is_expected = torch.rand(rows, 1, device=device) < expected
        self.alpha: list[Tensor] = []  # of each word so far
        self.weights: list[Tensor] = []

    def __call__(self, alpha: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        self.alpha.append(alpha)
        # also where no row is expected the words stay one chain, as the gradient of their attention needs it
        self.weights.append(torch.where(self.is_expected, alpha, self.locations(alpha.detach())))
        return self.weights[-1]

    def locations(self, alpha: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Returns weights that are 1 at a location drawn from alpha."""
        cumulative = alpha.cumsum(-1)
        u = torch.rand(len(alpha), 1, device=alpha.device) * cumulative[:, -1:]
        place = (cumulative <= u).sum(-1, keepdim=True).clamp(max=alpha.shape[1] - 1)
        return torch.zeros_like(alpha).scatter(-1, place, 1.0)


class LocationLoss(nn.Module):
    """What teaches where to look: a loss whose gradient is that of the terms with R and E above, negative.

    Args:
        reinforce: Weight R of the term of the draw.
        entropy: Weight E of the entropy of alpha.
    """

    baseline: Tensor

    def __init__(self, reinforce: float = REINFORCE, entropy: float = ENTROPY) -> None:
        super().__init__()
        self.reinforce, self.entropy = reinforce, entropy
        self.register_buffer("baseline", torch.zeros(()))

    def forward(
        self,
        draw: Draw,
        logits: Float[Tensor, "B T V"],
        targets: Int[Tensor, "B T"],
        weights: Float[Tensor, " B"] | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the sum over all captions, and moves the baseline.

        Args:
            draw: Where the decoder looked.
            logits: That it gave.
            targets: The words to say, padded.
            weights: Of the captions.
        """
        losses = F.cross_entropy(
            logits.detach().flatten(0, 1).float(),
            targets.flatten(),
            ignore_index=Vocabulary.PAD,
            reduction="none",
        )
        of_words = -losses.view(targets.shape).sum(1)  # (B,), log p(y | s)
        advantage = (of_words - self.baseline).masked_fill(draw.is_expected.squeeze(1), 0.0)
        if self.training:
            self.baseline.lerp_(of_words.mean(), 1 - DECAY)
        alpha = torch.stack(draw.alpha, 1)  # (B, T, L)
        log_alpha = alpha.clamp_min(TINY).log()
        is_word = targets != Vocabulary.PAD
        of_draw = (torch.stack(draw.weights, 1).detach() * log_alpha).sum(-1)  # (B, T), log p(s_t)
        entropy = -(alpha * log_alpha).sum(-1)
        gain = self.reinforce * advantage.unsqueeze(1) * of_draw + self.entropy * entropy
        gains = (gain * is_word).sum(1)
        return -(gains if weights is None else gains * weights).sum()
