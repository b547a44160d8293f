"""What is said of a run's scores in words."""

from pipelines.language.runs import remarks


def test_a_model_that_has_learnt_no_order_is_told_so():
    (said,) = remarks({"this run": 3.2, "unigram": 3.1, "5-gram": 2.0})
    assert "no better than counting single units" in said and "3.200" in said and "3.100" in said
    assert remarks({"this run": 3.0, "unigram": 3.1, "5-gram": 2.0}) == []
    assert remarks({"unigram": 3.1}) == remarks({"this run": 3.1}) == []
