"""Batches: everything once, near-equal lengths, the same for any number of processes, resumable."""

import resource
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from data_prep.batching import BatchLoader, BucketSampler, ShareSampler, evaluation_batches
from data_prep.terminal import run
from modules.errors import InputError

ITEMS = 2_003
LENGTHS = np.random.default_rng(0).poisson(10, ITEMS) + 2
# one to six captions an image, not side by side
IMAGES = np.random.default_rng(1).permutation(np.repeat(np.arange(600), np.arange(600) % 6 + 1)[:ITEMS])
grouping = pytest.mark.parametrize("groups", [None, IMAGES], ids=["single", "grouped"])


def sampler_of(batch_size: int = 32, epoch: int = 0, **options) -> BucketSampler:
    sampler = BucketSampler(LENGTHS, batch_size, **options)
    sampler.set_epoch(epoch)
    return sampler


def padding(batches: Sequence[Sequence[int]]) -> float:
    """Returns the share of a batch that is padding, over an epoch."""
    cells = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    return 1 - LENGTHS.sum() / cells


@grouping
def test_every_item_comes_once_an_epoch(groups):
    for epoch in range(3):
        batches = list(sampler_of(epoch=epoch, groups=groups))
        assert sorted(item for batch in batches for item in batch) == list(range(ITEMS))
        assert len(batches) == len(sampler_of(epoch=epoch, groups=groups))


@grouping
def test_an_epoch_reads_a_small_set_as_often_as_it_takes_for_the_wanted_steps(groups):
    once = len(sampler_of(epoch=1, groups=groups))
    sampler = sampler_of(epoch=1, groups=groups, min_batches=2 * once + 1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 3 * once
    passes = [batches[start : start + once] for start in (0, once, 2 * once)]
    for one in passes:  # one after the other, and each whole
        assert sorted(item for batch in one for item in batch) == list(range(ITEMS))
    assert passes[0] == list(sampler_of(epoch=1, groups=groups))
    assert passes[0] != passes[1] != passes[2]
    assert list(sampler_of(epoch=1, groups=groups, min_batches=once)) == passes[0]
    sampler.skip = once + 3  # where a resumed run begins
    assert list(sampler) == batches[once + 3 :]


@grouping
def test_batches_are_of_the_wanted_size(groups):
    sizes = [len(batch) for batch in sampler_of(groups=groups)]
    assert np.mean(sizes) == pytest.approx(32, rel=0.1)
    assert len(sizes) == pytest.approx(ITEMS / 32, rel=0.05)
    if groups is None:
        assert max(sizes) <= 32


@grouping
def test_the_order_is_the_seeds_and_the_epochs(groups):
    def order(seed: int, epoch: int) -> list[list[int]]:
        return list(sampler_of(seed=seed, epoch=epoch, groups=groups))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    # other batches, not the same ones in another order
    first, second = ({frozenset(batch) for batch in order(0, epoch)} for epoch in (0, 1))
    assert len(first & second) < 0.1 * len(first)
    # an epoch is the same whichever came before
    sampler = sampler_of(groups=groups)
    list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) == order(0, 1)


def test_lengths_in_a_batch_are_near_equal():
    batches = list(sampler_of())
    at_random = np.array_split(np.random.default_rng(0).permutation(ITEMS), len(batches))
    assert padding(at_random) > 0.3
    assert padding(batches) < 0.05
    # and the lengths come in no order
    longest = [LENGTHS[batch].max() for batch in batches]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.3


def test_items_of_one_length_are_shuffled_among_each_other():
    neighbours = Counter()
    for epoch in range(20):
        for batch in sampler_of(epoch=epoch):
            if 0 in batch:
                neighbours.update(batch)
    assert neighbours.pop(0) == 20
    assert max(neighbours.values()) < 15 and len(neighbours) > 100


def test_groups_stay_together():
    batches = list(sampler_of(groups=IMAGES))
    of_image: dict[int, set[int]] = {}
    for number, batch in enumerate(batches):
        for item in batch:
            of_image.setdefault(IMAGES[item], set()).add(number)
    assert all(len(numbers) == 1 for numbers in of_image.values())
    # by the longest of each group, so with more padding than items alone, but less than at random
    at_random = np.array_split(np.random.default_rng(0).permutation(ITEMS), len(batches))
    assert padding(batches) < 0.8 * padding(at_random)


def test_groups_may_begin_to_hold_in_a_later_epoch():
    kinds = {"alone": {}, "together": {"groups": IMAGES}, "later": {"groups": IMAGES, "grouped_from": 2}}
    alone, together, later = (
        [list(sampler_of(epoch=epoch, **options)) for epoch in range(4)] for options in kinds.values()
    )
    assert later == alone[:2] + together[2:] != alone
    # a trainer counts the batches once
    assert len({len(batches) for batches in later}) == 1


@grouping
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one(world_size, groups):
    alone = list(sampler_of(groups=groups, seed=5))
    shares = [
        list(sampler_of(groups=groups, seed=5, rank=r, world_size=world_size)) for r in range(world_size)
    ]
    assert {len(share) for share in shares} == {len(alone)}
    for batch, *parts in zip(alone, *shares, strict=True):
        assert sorted(item for part in parts for item in part) == sorted(batch)
        assert all(parts)  # nobody has nothing to do
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("items", [31, 32, 33, 65, 97, 1601, 1602])
def test_a_remainder_makes_no_tiny_batch(items):
    """33 items by 32 are no batch of 32 and one of 1, which two processes could not share."""
    one, two = (
        list(BucketSampler(LENGTHS[:items], 32, seed=2, rank=0, world_size=world_size))
        for world_size in (1, 2)
    )
    assert [len(batch) for batch in two] == [-(-len(batch) // 2) for batch in one]
    assert sum(map(len, one)) == items
    assert min(map(len, one)) >= min(items, 16) and max(map(len, one)) <= 32
    # as many batches in every epoch
    other = BucketSampler(LENGTHS[:items], 32, seed=2)
    other.set_epoch(1)
    assert len(other) == len(one)


@pytest.mark.parametrize(("items", "batch_size", "world_size"), [(10, 1, 2), (7, 2, 3), (9, 4, 4)])
def test_no_process_goes_empty_handed_however_small_the_batches(items, batch_size, world_size):
    shares = [
        list(BucketSampler(LENGTHS[:items], batch_size, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert sorted(item for share in shares for batch in share for item in batch) == list(range(items))
    assert all(batch for share in shares for batch in share)
    assert len({len(share) for share in shares}) == 1


@pytest.mark.parametrize(("items", "world_size"), [(0, 1), (1, 2)])
def test_fewer_items_than_processes_are_refused(items, world_size):
    with pytest.raises(InputError, match=f"^{items} items .* too few for {world_size} process"):
        BucketSampler(LENGTHS[:items], 8, world_size=world_size)


def test_a_resumed_epoch_goes_on_where_it_stood():
    whole = list(sampler_of(epoch=2, rank=1, world_size=2))
    resumed = sampler_of(epoch=2, rank=1, world_size=2)
    resumed.skip = 10
    assert list(resumed) == whole[10:]
    assert list(resumed) == whole  # the next pass is a whole one


class Doubled:
    """A data set that takes a list of item numbers and returns a tensor."""

    def __getitem__(self, items: list[int]) -> torch.Tensor:
        return 2 * torch.tensor(items)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_begins_at_its_place(workers):
    place = (0, 0)
    loader = BatchLoader(Doubled(), sampler_of(), place=lambda: place, workers=workers)
    for place in [(0, 0), (3, 0), (3, 40), (4, 0)]:
        epoch, done = place
        wanted = list(sampler_of(epoch=epoch))[done:]
        assert [(batch // 2).tolist() for batch in loader] == wanted
    assert len(loader) == len(sampler_of())


class TooLarge(Doubled):
    """Its batches are larger than the files that a process may write, as shared memory is to it."""

    def __getitem__(self, items: list[int]) -> torch.Tensor:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        return torch.zeros(1000)


def test_a_worker_that_lacks_shared_memory_is_one_line_and_is_not_waited_for(capsys):
    loader = BatchLoader(TooLarge(), sampler_of(), workers=1)
    loader.loader.timeout = 20  # else a worker that never answers is waited for
    assert run(lambda: print(*loader)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a worker process") and "(File too large)" in line
    assert "num_workers" in line and "--shm-size" in line


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
@pytest.mark.parametrize("items", [0, 1, 4, 30, 31])
def test_evaluation_takes_each_item_once(items, world_size):
    shares = [ShareSampler(items, 4, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert sorted(item for share in shares for batch in share for item in batch) == list(range(items))
    for share in shares:
        assert all(0 < len(batch) <= 4 for batch in share)
        assert len(list(share)) == len(share)
    sizes = [sum(map(len, share)) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_pass_begins_in_an_epoch_of_another_length():
    # three processes: of grouped items one batch more is too small and joins another
    grouped = {"groups": [0, 0, 0, 1, 2, 3, 4, 5], "grouped_from": 1}
    sampler = BucketSampler([3] * 8, 3, world_size=3, **grouped)
    whole = BucketSampler([3] * 8, 3, world_size=3, **grouped)
    whole.set_epoch(1)
    assert len(whole) < len(sampler)
    sampler.begin_at(1, len(whole))  # as at the end of the epoch before
    assert list(sampler) == list(whole)


def test_an_evaluation_of_fewer_items_than_processes_is_refused():
    with pytest.raises(InputError, match="1 items to evaluate are too few for 2 processes"):
        evaluation_batches([0], 4, rank=1, world_size=2)
    assert len(evaluation_batches([0, 1], 4, rank=1, world_size=2)) == 1


def test_far_more_workers_than_cores_are_refused():
    with pytest.raises(InputError, match="num_workers is 100,000,000; for the cores of this machine "):
        BatchLoader(Doubled(), sampler_of(), workers=10**8)
