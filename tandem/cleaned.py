"""Text that others wrote, made safe for a terminal."""


def clean(value: object) -> str:
    """Peers write into spans: nothing that moves a cursor reaches the terminal."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(value))
