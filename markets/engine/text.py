"""Text that PostgreSQL can store, whatever it came from."""


def storable_text(text: str) -> str:
    """The text without NUL characters, and with a question mark in place of what is no valid Unicode."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def counted(number: int, noun: str) -> str:
    """1 row, 2,000 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
