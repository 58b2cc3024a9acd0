from __future__ import annotations

import pytest

from napari_segmate.core.errors import PromptError
from napari_segmate.core.text.phrases import caption, chunks, split_phrases, token_groups


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Nucleus", ("nucleus",)),
        ("a,b;c.d\ne?f", ("a", "b", "c", "d", "e", "f")),
        ("  dark \t spot ,, dark spot", ("dark spot",)),
        ("[CLS] cell", ("cls cell",)),
        ("клетка, 細胞", ("клетка", "細胞")),
    ],
)
def test_text_becomes_phrases(text, phrases) -> None:
    assert split_phrases(text) == phrases


@pytest.mark.parametrize("text", ["", "  ", ",;.\n?", "[]()", "- , !"])
def test_text_without_words_is_refused_with_an_example(text) -> None:
    with pytest.raises(PromptError, match="for example"):
        split_phrases(text)


def test_spans_of_the_caption_hold_the_phrases() -> None:
    phrases = ["red blood cell", "nucleus"]
    text, spans = caption(phrases)
    assert text == "red blood cell. nucleus."
    assert [text[begin:end] for begin, end in spans] == phrases
    assert caption([]) == ("", ())


def test_tokens_between_phrases_belong_to_none() -> None:
    assert token_groups([(0, 3), (3, 4), (5, 8)], [(0, 3), (5, 8)]) == ((0,), (2,))


def test_many_phrases_are_read_in_several_captions() -> None:
    phrases = tuple(f"cell {number}" for number in range(300))
    groups = chunks(phrases, lambda text: len(text.split()) + 2)
    assert sum(groups, ()) == phrases
    assert all(len(caption(group)[0].split()) + 2 <= 256 for group in groups)
    assert len(groups) == 3


def test_phrase_that_no_detector_reads_whole_is_refused() -> None:
    with pytest.raises(PromptError, match="use few words"):
        chunks(["word " * 300], lambda text: len(text.split()))
