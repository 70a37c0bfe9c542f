# SPDX-License-Identifier: Apache-2.0
"""Finds where the two languages of our pages run into each other, or a line breaks Chinese."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from .spans import MARKDOWN, Text

_CHINESE = re.compile(r"[一-鿿]")
# A line of English that ends a sentence.
_SENTENCE = re.compile(r"^[^一-鿿]*[.:!?][)*`\"]*$")
# What stands close together in Chinese; a line's end between two of them is shown as a blank.
_CLOSE = "[一-鿿，。；：（）、“”！？《》]"


def problems(text: Text) -> Iterator[str]:
    """Yield what is wrong with the lines of a text's paragraphs.

    English and Chinese paragraphs that follow each other need a break between them: a backslash
    at the line's end. Otherwise Markdown shows them as one.
    """
    for token in MARKDOWN.parse(text.markdown):
        if token.type != "inline" or not _CHINESE.search(token.content):
            continue
        place = f"{text.place}:{token.map[0] + 1}"
        lines = token.content.split("\n")
        for line, following in itertools.pairwise(lines):
            if line.endswith(("\\", "  ")):
                continue
            if _SENTENCE.search(line) and _CHINESE.search(following):
                yield f"{place}: Chinese follows English without a break: {following[:20]}"
            if re.search(_CLOSE + "$", line) and re.match(_CLOSE, following):
                yield f"{place}: a line ends within Chinese: {line[-20:]}"
