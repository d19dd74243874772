"""Numbers in sentences."""


def counted(count: int, one: str, many: str = "") -> str:
    """`1 mail`, `2,000 mails`; `many` where it is more than an `s`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
