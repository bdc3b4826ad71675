"""Words for people."""


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: "1 thread", "2 threads"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
