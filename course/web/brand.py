"""A course's colour and typeface as a stylesheet: the pages' own rules forbid style attributes."""

from course.course_file import Brand


def css(brand: Brand) -> str:
    font = f" --font: {brand.font};" if brand.font else ""
    return (
        f":root {{ --brand: {brand.color};{font} }}\n"
        "@media (prefers-color-scheme: dark) {\n"
        f"  :root {{ --brand: {_bright(brand.color)}; }}\n"
        "}\n"
    )


def _bright(color: str) -> str:
    """Halfway to white, as the mails have it on dark ground."""
    parts = (int(color[at : at + 2], 16) // 2 + 127 for at in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in parts)
