"""How many rows hold a word of abuse. Reported and never dropped: a model that must refuse such words has to meet them.

A short list of our own, of words that are abuse in hardly any other sense; it counts whole words, so it misses more
than a classifier would and blames no Scunthorpe.
"""

from collections.abc import Collection

WORDS = {
    "de": "arschloch fotze hurensohn kanake missgeburt nutte schlampe schwuchtel wichser untermensch",
    "en": "arsehole asshole bitch bullshit cunt faggot fucker fucking motherfucker nigger retard slut twat whore",
    "es": "cabrón gilipollas hijoputa maricón puta zorra pendejo",
    "fr": "connard connasse enculé pétasse pouffiasse salope pute",
    "it": "cazzo coglione frocio puttana stronzo troia",
    "nl": "klootzak hoer kutwijf flikker",
    "pl": "kurwa skurwysyn pizda cipa",
    "pt": "caralho filhadaputa viado arrombado",
}
_ALL = frozenset(" ".join(WORDS.values()).split())


def is_abusive(words: Collection[str]) -> bool:
    """Whether a listed word is among these, which are in lower case."""
    return not _ALL.isdisjoint(words)
