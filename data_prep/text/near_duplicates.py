"""Sequences that share much of their content, found by the passages they have in common (Broder 1997)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

LENGTH = 10  # of a passage
SHARE = 0.25  # of the passages of the shorter of two near-duplicates that both have


def passages(sequence: Sequence[int]) -> frozenset[tuple[int, ...]]:
    """Returns all passages of LENGTH elements; a shorter sequence is one passage."""
    starts = range(max(1, len(sequence) - LENGTH + 1))
    return frozenset(tuple(sequence[start : start + LENGTH]) for start in starts)


def near_duplicates(sequences: Iterable[Sequence[int]]) -> list[int]:
    """Returns the group of each sequence: the place of the first that is near it, through others if need be.

    Two are near-duplicates if they share a quarter of the passages of the one that has fewer.
    """
    found = [passages(sequence) for sequence in sequences]
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    shared: Counter[tuple[int, int]] = Counter()
    for place, own in enumerate(found):
        for passage in own:
            shared.update((other, place) for other in places[passage])
            places[passage].append(place)
    first = list(range(len(found)))

    def group(place: int) -> int:
        while first[place] != place:
            first[place] = place = first[first[place]]
        return place

    for (one, other), count in shared.items():
        if count >= SHARE * min(len(found[one]), len(found[other])):
            low, high = sorted((group(one), group(other)))
            first[high] = low
    return [group(place) for place in range(len(found))]
