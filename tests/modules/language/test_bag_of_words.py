"""A bag of words tells words apart and not their order."""

from modules.language.bag_of_words import BagOfWords


def test_words_are_learnt_and_their_order_is_not():
    texts = ["good film , really good", "a bad , bad film", "good acting", "bad acting really"] * 4
    bag = BagOfWords(2, 1e-4).fit(texts, [1, 0, 1, 0] * 4)
    assert bag(["Good!", "the acting is BAD", "film good", "good film"]) == [1, 0, 1, 1]
    order = BagOfWords(2, 1e-4).fit(["a b c"] * 8 + ["c b a"] * 8, [0] * 8 + [1] * 8)
    assert len(set(order(["a b c", "c b a", "b"]))) == 1
    assert bag([]) == [] and len(bag(["unseen", ""])) == 2
