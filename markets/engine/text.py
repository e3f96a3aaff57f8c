"""Text that PostgreSQL can store, whatever it came from."""


def storable_text(text: str) -> str:
    """The text without NUL characters, and with a question mark in place of what is no valid Unicode."""
    return text.replace("\x00", "").encode(errors="replace").decode()
