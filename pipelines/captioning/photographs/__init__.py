"""Photographs by words and sentences, and the page that shows them, as find, match, score and demo do."""
