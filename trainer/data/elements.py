"""JSON as rows need it: strict where Python's own reader is lax, and a list element by element."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from trainer.data.fields import Fault

_LONGEST_NUMBER = 400  # digits; a double has 17
_BLANK = " \t\r\n"


class Decoder:
    """Refuses keys that stand twice, NaN and Infinity, numbers of hundreds of digits."""

    def __init__(self) -> None:
        self._strict = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer)
        self._lax = json.JSONDecoder(parse_int=len)

    def whole(self, text: str) -> Any:
        """The value of a text that holds one. Raises Fault."""
        try:
            return self._strict.decode(text)
        except json.JSONDecodeError as error:
            raise Fault(f"is not JSON: {error.msg} at column {error.colno}; mend the line") from error
        except RecursionError as error:
            raise Fault("is nested too deeply; make it flat") from error

    def first(self, text: str, place: int) -> tuple[Any, int]:
        """The value, or its Fault, that begins at a place, and where it ends. Raises json.JSONDecodeError."""
        try:
            return self._strict.raw_decode(text, place)
        except Fault as fault:
            return fault, self._lax.raw_decode(text, place)[1]


def elements(piece: Callable[[], str], *, longest: int) -> Iterator[tuple[int, Any]]:
    """Each element of a list with its number, from 1; a Fault in the place of a bad one.

    piece: returns the next part of the text, at last "". longest: characters of an element. What is no JSON ends it,
    since nobody knows where the next element would begin.
    """
    text = _Text(piece)
    text.take("[")
    decoder, number = Decoder(), 0
    while text.peek() not in {"]", ""}:
        number += 1
        try:
            yield number, _element(decoder, text, longest)
        except Fault as fault:
            yield number, fault
            return
        if text.peek() == ",":
            text.take(",")
            if text.peek() == "]":
                yield number + 1, Fault("is missing after a comma; leave the last comma out")
                return
        elif text.peek() not in {"]", ""}:
            yield number + 1, Fault("begins without a comma before it; add the comma")
            return
    if text.peek() != "]":
        yield number + 1, Fault("is missing: the file ends within the list; write the file again")
        return
    text.take("]")
    if text.peek():
        yield number + 1, Fault("stands behind the end of the list; give one list, or JSON Lines")


class _Text:
    """A text that is read in pieces and forgotten behind `place`."""

    def __init__(self, piece: Callable[[], str]) -> None:
        self._piece, self.buffer, self.place, self.is_whole = piece, "", 0, False

    def more(self) -> None:
        found = self._piece()
        self.is_whole = not found
        self.buffer, self.place = self.buffer[self.place :] + found, 0

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self.place < len(self.buffer) and self.buffer[self.place] in _BLANK:
                self.place += 1
            if self.place < len(self.buffer):
                return self.buffer[self.place]
            if self.is_whole:
                return ""
            self.more()

    def take(self, character: str) -> None:
        if self.peek() != character:
            raise Fault(f"is not JSON: no {character!r}; give a list of rows")
        self.place += 1


def _element(decoder: Decoder, text: _Text, longest: int) -> Any:
    """The element at hand. More text is read until it is certain to be whole. Raises Fault."""
    while True:
        try:
            value, end = decoder.first(text.buffer, text.place)
            if end < len(text.buffer) or text.is_whole:
                text.place = end
                return value
        except json.JSONDecodeError as error:
            if text.is_whole:
                raise Fault(f"is not JSON: {error.msg}; mend it") from error
        except RecursionError as error:
            raise Fault("is nested too deeply; make it flat") from error
        if len(text.buffer) - text.place > longest:
            raise Fault(f"is not JSON, or longer than {longest >> 20} MB; mend it, or cut the row into several")
        text.more()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Fault(f"{twice}: stands twice in one object; keep one of them")
    return made


def _no_number(text: str) -> NoReturn:
    raise Fault(f"holds {text}, which is no JSON; write null or leave the field out")


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise Fault(f"holds a number of {len(text)} digits; write it as a string")
    return int(text)
