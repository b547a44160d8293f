"""Streams: they go on where they stood, hold all of the text, and depend on no number of processes."""

from collections import Counter

import numpy as np
import pytest
import torch

from data_prep.text import streams
from data_prep.text.streams import HeldOutStreams, TrainingStreams
from modules.errors import InputError
from modules.vocabulary import Vocabulary

BOS, PAD = Vocabulary.BOS, Vocabulary.PAD


def documents(*lengths: int) -> np.ndarray:
    """Documents in which no id comes twice: 4, 5, 6, ..."""
    ids = iter(range(4, 10**6))
    return np.array(
        [id for length in lengths for id in [BOS, *(next(ids) for _ in range(length))]], np.uint16
    )


TOKENS = documents(300, 1, 0, 450, 80)


def test_a_stream_goes_on_where_it_stood():
    training = TrainingStreams(TOKENS, batch_size=4, sequence_length=10)
    batches = list(training)
    assert len(batches) == len(training) == len(TOKENS) // 4 // 10
    rows = torch.cat([batch.tokens for batch in batches], dim=1)  # (B, all windows)
    targets = torch.cat([batch.targets for batch in batches], dim=1)
    apart = len(TOKENS) // 4
    for row in range(4):
        wanted = TOKENS[row * apart : row * apart + rows.shape[1] + 1].astype(int)
        assert rows[row].tolist() == wanted[:-1].tolist()
        assert targets[row].tolist() == np.where(wanted[1:] == BOS, PAD, wanted[1:]).tolist()
    assert [batch.resets.tolist() for batch in batches] == [[True] * 4] + [[False] * 4] * (len(batches) - 1)
    assert {batch.tokens.shape for batch in batches} == {(4, 10)} and batches[0].tokens.dtype == torch.int64


def test_epochs_begin_elsewhere_and_read_nearly_all():
    seen = []
    place = (0, 0)
    training = TrainingStreams(TOKENS, 4, 10, seed=3, place=lambda: place)
    for epoch in range(6):
        place = (epoch, 0)
        targets = Counter(t for batch in training for t in batch.targets.flatten().tolist() if t != PAD)
        assert max(targets.values()) == 1 and sum(targets.values()) > len(TOKENS) - 4 * 10 - 4 - 5
        seen.append(tuple(next(iter(training)).tokens[:, 0].tolist()))
    assert len(set(seen)) == 6 and seen[0] == tuple(TOKENS[:: len(TOKENS) // 4][:4])
    again = TrainingStreams(TOKENS, 4, 10, seed=3).batch(5, 0)
    assert tuple(again.tokens[:, 0].tolist()) == seen[5]
    other = TrainingStreams(TOKENS, 4, 10, seed=4).batch(5, 0)
    assert tuple(other.tokens[:, 0].tolist()) != seen[5]


def test_the_text_is_a_ring():
    training = TrainingStreams(TOKENS, 4, 10, seed=3)
    followed = {int(a): int(b) for a, b in zip(TOKENS, np.roll(TOKENS, -1), strict=True) if BOS not in (a, b)}
    crossed = 0
    for epoch in range(6):
        for number in range(len(training)):
            batch = training.batch(epoch, number)
            for token, target in zip(
                batch.tokens.flatten().tolist(), batch.targets.flatten().tolist(), strict=True
            ):
                assert target == followed.get(token, PAD) or token == BOS
                crossed += token == TOKENS[-1]
    assert crossed > 0


def test_a_single_stream_reads_from_beginning_to_end_each_time():
    place = (0, 0)
    training = TrainingStreams(TOKENS, 1, 25, place=lambda: place)
    first = [batch.tokens.tolist() for batch in training]
    assert first[0][0] == TOKENS[:25].tolist()
    place = (7, 0)
    assert [batch.tokens.tolist() for batch in training] == first


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_have_their_own_streams_and_together_those_of_one(world_size):
    alone = TrainingStreams(TOKENS, 6, 10)
    shares = [TrainingStreams(TOKENS, 6, 10, rank=r, world_size=world_size) for r in range(world_size)]
    for epoch in (0, 3):
        for number in range(len(alone)):
            whole = alone.batch(epoch, number)
            for rank, share in enumerate(shares):
                part = share.batch(epoch, number)
                assert torch.equal(part.tokens, whole.tokens[rank::world_size])
                assert torch.equal(part.targets, whole.targets[rank::world_size])
                assert torch.equal(part.resets, whole.resets[rank::world_size])
    with pytest.raises(InputError, match=r"data.batch_size is 7; .*multiple of 2"):
        TrainingStreams(TOKENS, 7, 10, world_size=2)


def test_a_resumed_epoch_goes_on_where_it_stood():
    place = (2, 0)
    training = TrainingStreams(TOKENS, 4, 10, place=lambda: place)
    whole = list(training)
    place = (2, 7)
    rest = list(training)
    assert len(rest) == len(whole) - 7
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(rest, whole[7:], strict=True))
    place = (3, len(whole))  # an epoch that ended is followed by a whole one
    assert len(list(training)) == len(whole)


def test_a_text_of_one_window_is_enough():
    training = TrainingStreams(documents(20), 8, 20)
    (batch,) = training
    assert batch.tokens.shape == (8, 20) and len(training) == 1


# ------------------------------------------------------------------------------------------- evaluation


def read_by(batches: HeldOutStreams) -> dict[int, list[int]]:
    """Returns what had been read in a stream, since it began, before each target."""
    before: dict[int, list[int]] = {}
    rows: list[list[int]] = []
    for batch in batches:
        assert batch.tokens.shape == batch.targets.shape == (len(batch.resets), batch.tokens.shape[1])
        if batch.resets.any():
            assert batch.resets.all()
            rows = [[] for _ in batch.resets]
        for row, tokens, targets in zip(rows, batch.tokens.tolist(), batch.targets.tolist(), strict=True):
            for token, target in zip(tokens, targets, strict=True):
                row.append(token)
                if target != PAD:
                    assert target not in before
                    before[target] = list(row)
    return before


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("sequence_length", [1, 7, 128, 1000])
def test_every_held_out_token_is_a_target_once_after_its_document(batch_size, sequence_length, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 100)
    monkeypatch.setattr(streams, "LEAD", 20)
    held_out = HeldOutStreams(TOKENS, batch_size, sequence_length)
    before = read_by(held_out)
    assert sorted(before) == [token for token in TOKENS if token != BOS]
    assert len(list(held_out)) == len(held_out)
    whole = TOKENS.tolist()
    for target, read in before.items():
        at = whole.index(target)
        assert whole[at - len(read) : at] == read and BOS not in read[1:]
        assert read[0] == BOS or len(read) > 20  # the document's beginning, or at least what is read in
    # the same whatever the batches are
    assert before == read_by(HeldOutStreams(TOKENS, 5, 13))


@pytest.mark.parametrize("world_size", [2, 3, 20])
def test_processes_share_the_held_out_text(world_size, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 100)
    shares = [HeldOutStreams(TOKENS, 4, 16, rank=rank, world_size=world_size) for rank in range(world_size)]
    read = [read_by(share) for share in shares]
    together = {target: before for part in read for target, before in part.items()}
    assert sum(map(len, read)) == len(together)
    assert together == read_by(HeldOutStreams(TOKENS, 4, 16))
    # nobody has nothing to do: all of them meet at the end
    assert all(len(share) == len(list(share)) >= 1 for share in shares)


def test_little_of_an_evaluation_is_padding():
    lengths = np.random.default_rng(0).integers(10, 60_000, 60)
    tokens = np.full(int(lengths.sum()) + 60, 7, np.uint16)
    tokens[np.cumsum(lengths + 1) - lengths - 1] = BOS
    cells = scored = 0
    for batch in HeldOutStreams(tokens, 32, 128):
        cells += batch.targets.numel()
        scored += int((batch.targets != PAD).sum())
    assert scored == lengths.sum() and cells < 1.1 * scored
