"""The captioning system as a LightningModule: encoder, decoder, losses, and free-running evaluation.

It knows tensors and words, not files: batches come from a DataModule, and a checkpoint holds everything
that captioning another image needs (weights, words, encoder and its preprocessing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from modules.captioning.agreement import Agreement, Judge
from modules.captioning.batch import CaptionBatch
from modules.captioning.collapse import writing_of
from modules.captioning.evaluation import Evaluation
from modules.captioning.graphed_losses import captioner_obstacle, graphed_losses, graphed_self_critical_sum
from modules.captioning.options import CaptioningTrainingOptions, reinforced_rate_factor
from modules.captioning.pretrained import pretrained_path
from modules.captioning.reinforcement import (
    CaptionReward,
    greedy_captions,
    leave_one_out,
    one_caption_each,
    sample_captions,
    self_critical_sum,
)
from modules.captioning.scheduled_sampling import own_share, with_own_words
from modules.captioning.writing import CaptionWriter
from modules.decoders.captions import DECODERS, CaptionDecoder, DecoderOptions
from modules.decoders.ensemble import Reader
from modules.decoders.graphed_reader import GraphedReader
from modules.decoders.graphed_step import GraphedStep
from modules.decoders.hard_attention import Draw, LocationLoss
from modules.decoders.mirrored import MirroredDecoder
from modules.decoding import DecodingOptions
from modules.encoders.image import EncoderOptions, ImageEncoder
from modules.errors import InputError
from modules.losses import cross_entropy_sum, doubly_stochastic_sum
from modules.metrics.captions import CaptionScorer
from modules.training import TrainedModule, seeded
from modules.vocabulary import Vocabulary


class Captioner(CaptionWriter, TrainedModule):
    """A CNN reads the image, an RNN with attention writes the caption.

    >>> from modules import Captioner
    >>> captioner = Captioner.load("captioner.ckpt")
    >>> [caption.text for caption in captioner.caption_images(["red.png", "blue.png"])]
    ['a red square', 'a blue square']

    Args:
        encoder: The CNN.
        decoder: The RNN.
        training: Losses, learning rates and their schedule.
    """

    task = "caption"
    training_options: CaptioningTrainingOptions

    def __init__(
        self,
        encoder: EncoderOptions = EncoderOptions(),  # noqa: B008
        decoder: DecoderOptions = DecoderOptions(),  # noqa: B008
        training: CaptioningTrainingOptions = CaptioningTrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(encoder=encoder, decoder=decoder, training=training)
        self.decoder_options = decoder
        cnn = asdict(encoder)
        self.resize, self.mirrored = cnn.pop("resize"), cnn.pop("mirrored")
        self.encoder = ImageEncoder(**cnn)
        # the decoder needs the vocabulary, which comes from the data or from a checkpoint
        self.decoder: CaptionDecoder | None = None
        self.has_sentinel = DECODERS[decoder.kind].has_sentinel
        is_hard = decoder.hard and decoder.kind in decoder.read_by["hard"]
        self.location_loss = LocationLoss() if is_hard else None
        if is_hard and training.reinforce_epochs:
            raise InputError(
                "model.training.reinforce_epochs is given: self-critical training draws words, not "
                "locations, and teaches hard attention nothing; take --model.decoder.hard false"
            )
        self.vocabulary: Vocabulary | None = None
        self.decoding = DecodingOptions()
        self.reward: CaptionReward | None = None  # of captions of training images
        self.graphed: GraphedStep | None = None  # in a fit that may use CUDA graphs
        self.graphed_decoder: GraphedReader | None = None  # of the same, which samples
        self.keep_attention = False  # of predictions
        self.evaluation = Evaluation()
        self.agreement: Agreement | None = None  # what fit measures at its end, to judge sentences with
        self.inherited_words = 0  # the first, from the checkpoint that training began with

    # ---- construction and checkpoints

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Builds the decoder for these words; does nothing if it has them already."""
        if self.vocabulary is not None:
            if self.vocabulary.words != vocabulary.words:
                raise InputError(
                    f"the checkpoint's vocabulary ({len(self.vocabulary)} words) is not that of the training "
                    f"captions ({len(vocabulary)} words): resume with the data the run began with"
                )
            return
        self.vocabulary = vocabulary
        decoder = DECODERS[self.decoder_options.kind]
        with seeded(self.training_options.seed):
            self.decoder = decoder(len(vocabulary), self.encoder.annotation_size, self.decoder_options)

    def begin_with(self, checkpoint: dict[str, Any]) -> None:
        super().begin_with(checkpoint)
        self.inherited_words = len(checkpoint["words"])

    def use_data(self, data: Any) -> None:
        """Takes the words of the training captions."""
        self.use_vocabulary(data.training_words())
        self.required(self.decoding)  # not only after hours of training

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        assert self.vocabulary is not None
        checkpoint["words"] = self.vocabulary.words
        checkpoint["inherited_words"] = self.inherited_words
        checkpoint["decoding"] = asdict(self.decoding)
        if self.agreement is not None:
            checkpoint |= self.agreement.stored()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.use_vocabulary(Vocabulary(checkpoint["words"]))
        self.inherited_words = checkpoint.get("inherited_words", 0)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes words and what to judge with, and decodes as the checkpoint's run did."""
        self.use_vocabulary(Vocabulary(checkpoint["words"]))
        self.decoding = DecodingOptions(**checkpoint.get("decoding", {}))
        self.agreement = Agreement.of(checkpoint)
        self.unsure_below = checkpoint.get("unsure_below")

    def judge(self, name: Path) -> Judge:
        """Returns what says how well sentences fit images.

        Args:
            name: Of the checkpoint, for a complaint.

        Raises:
            InputError: The checkpoint is from before fit kept a mean image, or its fit did not end.
        """
        assert self.decoder is not None and self.vocabulary is not None
        if self.agreement is None:
            raise InputError(
                f"{name}: has no mean image to judge captions by; fit keeps one at its end, so go on with: "
                "caption.py fit --ckpt_path RUN/checkpoints/last.ckpt"
            )
        return Judge(self.decoder, self.vocabulary, self.agreement.mean_image)

    @classmethod
    def pretrained(cls, name: str = "flickr8k") -> Captioner:
        """Returns a captioner that comes with the package, ready to caption; its model card says how well."""
        return cls.load(pretrained_path(name))

    # ---- training

    def annotate(self, inputs: Tensor) -> Float[Tensor, "N L D"]:
        """Returns annotations of pixels (N, 3, S, S), or the given ones in this precision."""
        if inputs.dtype != torch.uint8:
            return inputs.float()
        return self.encoder.encode(inputs) if self.encoder.is_frozen else self.encoder(inputs)

    def views(self, inputs: Tensor) -> Float[Tensor, "N L D"] | Float[Tensor, "N 2 L D"]:
        """Returns what captions are written from: annotations (N, L, D), (N, 2, L, D) where mirrored."""
        if not self.mirrored:
            return self.annotate(inputs)
        if inputs.dtype != torch.uint8:
            return inputs.float()
        return torch.stack([self.annotate(inputs), self.annotate(inputs.flip(-1))], dim=1)

    def losses(
        self, batch: CaptionBatch, annotations: Float[Tensor, "N L D"], own_words: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns teacher-forced sums: what is learned from, plain cross entropy, and the number of words.

        Args:
            batch: Images and captions.
            annotations: Of the images.
            own_words: Share of the given words that are drawn from the decoder itself.
        """
        assert self.decoder is not None
        given, targets = batch.tokens[:, :-1], batch.tokens[:, 1:]  # (R, T)
        if own_words:
            seed = self.batch_number * self.trainer.world_size + self.global_rank
            generator = torch.Generator().manual_seed(seed)
            given = with_own_words(self.decoder, annotations, given, batch.image_index, own_words, generator)
        is_drawn = self.location_loss is not None and self.decoder.training
        draw = [Draw(len(given), given.device)] if is_drawn else []
        logits, alpha = self.decoder(annotations, given, batch.image_index, *draw)
        smoothing, weights = self.training_options.label_smoothing, batch.weights
        is_plain = not smoothing and weights is None
        plain = cross_entropy_sum(logits if is_plain else logits.detach(), targets)
        loss = plain if is_plain else cross_entropy_sum(logits, targets, smoothing, weights)
        if self.location_loss is not None and draw:
            loss = loss + self.location_loss(*draw, logits, targets, weights)
        # lambda times the attention term (Xu et al. 2015, eq. 14) is of soft attention in its paper, and
        # would draw weight from a sentinel, whose paper has none
        if alpha is not None and not self.has_sentinel and self.location_loss is None:
            loss = loss + self.training_options.doubly_stochastic * doubly_stochastic_sum(alpha, targets)
        return loss, plain, (targets != Vocabulary.PAD).sum()

    def on_train_start(self) -> None:
        if self.training_options.reinforce_epochs:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it, unannounced
            self.reward = CaptionReward(data.training_sentences(), self.training_options.reinforce_bleu4)
        if self.training_options.cuda_graphs:
            self.graphed = GraphedStep.for_training(self, captioner_obstacle(self))
        if self.graphed is not None:
            assert self.decoder is not None
            self.write_by_graphs()
            self.graphed_decoder = GraphedReader(self.decoder, [self.decoder])

    def on_train_end(self) -> None:
        self.graphed = self.graphed_reader = self.graphed_decoder = None  # a graph keeps its memory

    @property
    def reinforces_from(self) -> int | float:
        """The first epoch of self-critical training; infinity where there is none."""
        epochs = self.training_options.reinforce_epochs
        return (self.trainer.max_epochs or 0) - epochs if epochs else math.inf

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> Tensor:
        if self.current_epoch >= self.reinforces_from:
            return self._reinforce(batch)
        return self._force(batch, self.annotate(batch.inputs))

    def _force(self, batch: CaptionBatch, annotations: Float[Tensor, "N L D"]) -> Tensor:
        """Returns the loss of teacher forcing."""
        options, share = self.training_options, 0.0
        if options.own_words:
            progress = self.global_step / max(1.0, float(self.trainer.estimated_stepping_batches))
            share = own_share(options.own_words_schedule, progress, options.own_words)
        if self.graphed is None:
            loss, plain, words = self.losses(batch, annotations, share)
        else:
            loss, plain, words = graphed_losses(self, self.graphed, batch._replace(inputs=annotations))
        # divided by the number of words on all processes; DDP averages gradients, hence the factor
        total_words, total_loss = self.reduce_sum(torch.stack([words.float(), plain.detach()]))
        self.log("train/loss", total_loss / total_words, prog_bar=True, batch_size=len(batch.tokens))
        return loss * self.world_size / total_words

    def _reinforce(self, batch: CaptionBatch) -> Tensor:
        """Returns the loss of self-critical training, mixed with that of teacher forcing where it weighs."""
        assert self.decoder is not None and self.reward is not None
        annotations = self.annotate(batch.inputs)
        samples = self.training_options.reinforce_samples
        longest = batch.tokens.shape[1] + 5  # what is much longer than people's captions has no future
        seed = self.batch_number * self.trainer.world_size + self.global_rank
        # dropout makes a decoder say what it would not: drawn from it, training goes astray
        self.decoder.eval()
        reader = self.graphed_decoder or self.decoder
        captions, tokens = sample_captions(reader, annotations, samples, longest, seed)
        is_greedy = self.training_options.reinforce_baseline == "greedy"
        said = greedy_captions(reader, annotations, longest) if is_greedy else []
        self.decoder.train()
        # a GPU computes this while the CPU counts rewards
        weight = self.training_options.reinforce_cross_entropy
        forced = weight * self._force(one_caption_each(batch, seed), annotations) if weight else None
        names = [name for name in batch.names for _ in range(samples)]
        rewards = self.reward.each(names, captions).view(-1, samples)  # (N, S)
        if is_greedy:
            advantages = rewards - self.reward.each(batch.names, said).unsqueeze(1)
        else:
            advantages = leave_one_out(rewards)
        rewards, advantages = rewards.to(annotations.device), advantages.to(annotations.device)
        self.decoder.eval()
        if self.graphed is None:
            loss, words = self_critical_sum(self.decoder, annotations, tokens, advantages)
        else:
            loss, words = graphed_self_critical_sum(self, self.graphed, annotations, tokens, advantages)
        self.decoder.train()
        total_words, total_reward, captions_scored = self.reduce_sum(
            torch.stack([words.float(), rewards.sum(), torch.tensor(float(len(names)), device=words.device)])
        )
        self.log("train/reward", total_reward / captions_scored, prog_bar=True, batch_size=len(names))
        reinforced = loss * self.world_size / total_words
        return reinforced if forced is None else reinforced + forced

    def parameter_rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Returns the decoder, and the fine-tuned blocks of the encoder, with their learning rates."""
        assert self.decoder is not None
        options = self.training_options
        return [
            (self.decoder.parameters(), options.learning_rate),
            (self.encoder.finetuned_parameters(), options.encoder_learning_rate),
        ]

    def learning_rate_factor(self, steps: int | float) -> Callable[[int], float]:
        """Returns what every learning rate is multiplied by, self-critical epochs included."""
        return reinforced_rate_factor(self.training_options, steps, self.trainer.max_epochs or 0)

    # ---- captions of images

    def reader(self) -> Reader:
        assert self.decoder is not None
        return MirroredDecoder(self.decoder, self.encoder.grid) if self.mirrored else self.decoder

    def decoders(self) -> list[CaptionDecoder]:
        assert self.decoder is not None
        return [self.decoder]

    def begin_evaluation(self) -> None:
        self.evaluation = Evaluation()

    def evaluate(self, batch: CaptionBatch, batch_idx: int) -> None:
        # greedy decoding is enough to compare epochs of a fit; test and validate decode as they are asked to
        comparing = self.trainer.state.fn == "fit"
        plain = replace(self.decoding, method="greedy", must_contain="")
        options = plain if comparing else self.decoding
        views = self.views(batch.inputs)
        _, loss, words = self.losses(batch, views[:, 0] if self.mirrored else views)
        self.evaluation.loss += loss.item()
        self.evaluation.words += int(words)
        captions = self.caption(views, batch.names, options, keep_alpha=not comparing)
        for name, caption, references in zip(batch.names, captions, batch.references, strict=True):
            row = {"image": name, "caption": caption.text, "score": caption.score, "references": references}
            if caption.alpha is not None:
                row |= {"words": caption.words, "alpha": caption.alpha.half()}
            self.evaluation.rows.append(row)

    def conclude_evaluation(self, stage: str) -> None:
        """Gathers all processes' rows, scores them once and logs under `stage/`."""
        parts = self.of_all_processes(self.evaluation)
        # one row an image, whatever sampler dealt them out, in an order that no process decides
        rows = {row["image"]: row for part in parts for row in part.rows}
        self.evaluation = Evaluation(
            [rows[name] for name in sorted(rows)],
            sum(part.loss for part in parts),
            sum(part.words for part in parts),
        )
        captions = {name: row["caption"] for name, row in rows.items()}
        references = {name: row["references"] for name, row in rows.items()}
        scores = CaptionScorer(references).score(captions).as_dict()
        self.evaluation.writing = writing_of(captions, references)
        scores |= asdict(self.evaluation.writing)
        scores |= {"loss": self.evaluation.mean_loss, "perplexity": self.evaluation.perplexity}
        self.log_scores(stage, scores, "bleu4", "cider_d")
