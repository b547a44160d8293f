"""The encoder and the empty cache that the tests of the feature cache share."""

from pathlib import Path

import pytest

from data_prep.captions.features import FeatureCache
from tests.data_prep.captions.feature_caches import TRANSFORM, SmallEncoder


@pytest.fixture(scope="module")
def encoder() -> SmallEncoder:
    return SmallEncoder()


@pytest.fixture
def opened(tmp_path: Path, encoder: SmallEncoder) -> FeatureCache:
    encoder.encoded = 0
    return FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache")
