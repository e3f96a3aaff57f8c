"""What the texts of a frame must be like: identifiers, and whatever PostgreSQL is to store."""

from collections.abc import Sequence

from markets.engine.text import storable_text
from markets.exceptions import FrameError

LONGEST_IDENTIFIER = 255  # as an asset's


def check_identifiers(labels: Sequence[object], name: str) -> None:
    """Raise FrameError, naming the first that is wrong, unless all labels of the index level `name` are identifiers."""
    if not _are_plain(labels):
        for label in labels:
            _check_identifier(label, name)


def _are_plain(labels: Sequence[object]) -> bool:
    """Whether all labels pass for certain, told in a tenth of the time that looking at each by itself takes."""
    if not all(type(label) is str for label in labels):
        return False
    texts = [str(label) for label in labels]
    joined = "".join(texts)
    return (
        all(texts)
        and list(map(str.strip, texts)) == texts
        and max(map(len, texts), default=0) <= LONGEST_IDENTIFIER
        and storable_text(joined) == joined
    )


def _check_identifier(label: object, name: str) -> None:
    if not isinstance(label, str):
        raise FrameError(f"{name} holds {label!r}, a {type(label).__name__}; identifiers are text.")
    if not label.strip() or label != label.strip():
        raise FrameError(f"{name} holds {label!r}: an identifier neither is blank nor begins or ends with a space.")
    if len(label) > LONGEST_IDENTIFIER:
        raise FrameError(
            f"{name} holds an identifier of {len(label)} characters ({label[:40]}…); {LONGEST_IDENTIFIER} is the most."
        )
    check_text(label, name)


def check_text(text: str, name: str) -> None:
    """Raise FrameError for text that PostgreSQL cannot store."""
    if "\x00" in text:
        raise FrameError(f"{name} holds text with a NUL character ({text[:40]!r}), which PostgreSQL cannot store.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FrameError(f"{name} holds text that is not valid Unicode ({text[:40]!r}).") from error
