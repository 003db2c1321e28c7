"""PyYAML's syntax errors in plain words, each with its mend."""

from __future__ import annotations

import re

import yaml

_PLAIN: tuple[tuple[str, str], ...] = (
    (r"mapping values are not allowed", "a ':' cannot stand here. Check the indentation, or quote text that holds it."),
    (r"could not find expected ':'", "this key has no ':' after it. Write 'key: value'."),
    (r"sequence entries are not allowed here", "a '- ' entry cannot stand here. Begin the list on a line of its own."),
    (r"found character '\\t'", "a tab cannot indent. Use spaces."),
    (r"found character (?P<what>'.')", "text cannot begin with {what}. Put it in quotes."),
    (r"expected ',' or '\]'", "a list that '[' opens goes wrong here: a ',' or the closing ']' is missing."),
    (r"expected ',' or '\}'", "a section that '{{' opens goes wrong here: a ',' or the closing '}}' is missing."),
    (r"expected <block end>", "this does not fit the lines above. Check indentation, quotes and commas."),
    (r"found unexpected end of stream", "a quote is opened and never closed. Add the closing quote."),
    (r"found unexpected document separator", "a quote is opened and never closed. Add the closing quote."),
    (
        r"found unknown escape character (?P<what>'.*')",
        "in double quotes a backslash begins an escape, and {what} is none. Write \\\\ or use single quotes.",
    ),
    (r"expected the node content", "a value is missing here."),
    (r"found undefined tag handle", "recipes take no tags ('!...'). Put quotes around text that begins with '!'."),
)


def in_plain_words(error: yaml.MarkedYAMLError) -> str:
    """What is wrong and what mends it; what PyYAML says where there are no better words."""
    said = error.problem or error.context or "this is not YAML"
    for pattern, words in _PLAIN:
        found = re.match(pattern, said)
        if found:
            return words.format(**found.groupdict())
    return f"this is not YAML: {said}."
