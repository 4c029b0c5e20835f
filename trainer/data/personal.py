"""Personal data and keys in a text, put out of it as `<email>`, `<phone>`, `<iban>`, `<card>`, `<ip>`, `<key>`.

What can be proved right is: a card number and an IBAN by their checksums, an address by being a public one, a phone
number by its country code and length (ITU-T E.164). Names and postal addresses are not looked for. Every pattern has
bounded repeats and begins at the edge of a word, so the time grows with the text alone.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator

Span = tuple[int, int]

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[^\W\d_]{2,24}(?![\w-])")
_COUNTRY = (
    r"(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|(?:2[1-689]|3[578]|42|5[09]|6[789]|8[0578]|9[679])\d)"
)
_PHONE = re.compile(rf"(?<![\w)\]=*/+.-])\+{_COUNTRY}(?:[ ./-]{{0,2}}\(?\d{{1,12}}\)?){{1,7}}(?!\d)")
_PHONE_DIGITS, _PLAIN_DIGITS = range(8, 16), range(10, 16)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{4,39}(?![\w:])")
_GLOBAL = ipaddress.ip_network("2000::/3")
_CARD = re.compile(
    r"(?<![\w.,+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{4,5})(?![\w]|[.,-]\d)"
)
_ISSUER = re.compile(r"4|5[1-5]|2[2-7]|3[0-9]|6[0245]|8[16]|9[7]")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
# Characters of an IBAN by country (SWIFT's registry).
_IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        33: "RU",
    }.items()
    for code in codes.split()
}
_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])"  # AWS
    r"|sk-[A-Za-z0-9_-]{20,200}"  # OpenAI, Anthropic
    r"|gh[opsru]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{40,255}|glpat-[A-Za-z0-9_-]{20,64}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-]))"
)
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,80}-----")


def redacted(text: str) -> tuple[str, Counter[str]]:
    """The text with a placeholder for each hit, and the hits by kind. Redacting it again finds nothing."""
    hits: Counter[str] = Counter()
    for kind, sign, spans in _KINDS:
        if sign and sign not in text:
            continue
        parts, end = [], 0
        for start, stop in spans(text):
            parts += [text[end:start], f"<{kind}>"]
            end = stop
            hits[kind] += 1
        text = "".join(parts) + text[end:]
    return text, hits


def _keys(text: str) -> Iterator[Span]:
    for found in _KEY.finditer(text):
        if any(letter.isdigit() for letter in found.group()):
            yield found.span()


def _private_keys(text: str) -> Iterator[Span]:
    """From the first line to the last; where the last is missing, to the end of the text."""
    end = 0
    for found in _PEM.finditer(text):
        if found.start() >= end:
            last = _PEM_END.search(text, found.end())
            end = last.end() if last else len(text)
            yield found.start(), end


def _emails(text: str) -> Iterator[Span]:
    return (found.span() for found in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(found.group()[:2], 0)
        stop, taken = found.start(), 0
        while taken < length and stop < found.end():
            taken += text[stop] != " "
            stop += 1
        number = text[found.start() : stop].replace(" ", "")
        ends = stop == len(text) or not text[stop].isalnum()
        if (
            len(number) == length
            and ends
            and int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1
        ):
            yield found.start(), stop


def _cards(text: str) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = [int(letter) for letter in found.group() if letter.isdigit()]
        doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
        if (sum(digits[-1::-2]) + doubled) % 10 == 0 and _ISSUER.match(found.group()) and len(set(digits)) > 1:
            yield found.span()


def _phones(text: str) -> Iterator[Span]:
    for found in _PHONE.finditer(text):
        number = found.group()
        digits = sum(letter.isdigit() for letter in number)
        if digits in (_PLAIN_DIGITS if digits == len(number) - 1 else _PHONE_DIGITS):
            yield found.span()


def _addresses(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Span]]:
    def spans(text: str) -> Iterator[Span]:
        return (found.span() for found in pattern.finditer(text) if _is_public(found.group()))

    return spans


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and (isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL)


# Kind, a character without which there is none, and where it stands. Keys first: they may hold what looks like others.
_KINDS: tuple[tuple[str, str, Callable[[str], Iterator[Span]]], ...] = (
    ("key", "-----BEGIN", _private_keys),
    ("key", "", _keys),
    ("email", "@", _emails),
    ("iban", "", _ibans),
    ("card", "", _cards),
    ("phone", "+", _phones),
    ("ip", ".", _addresses(_IPV4)),
    ("ip", ":", _addresses(_IPV6)),
)
