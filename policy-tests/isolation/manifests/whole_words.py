"""A word inside of a text, found only where no letter or digit touches it: an id is not meant by a longer one."""


def replaced(text: str, word: str, by: str) -> str:
    """The text with another text for each whole occurrence of the word."""
    first, *others = text.split(word)
    made, last = [first], first[-1:]
    for piece in others:
        is_whole = not (last.isalnum() or piece[:1].isalnum())
        made += (by if is_whole else word, piece)
        last = piece[-1:] or word[-1:]
    return "".join(made)
