"""Which language a row is in, by lingua (extra `language`; its models are in its wheel, so nothing is fetched)."""

from collections import Counter
from collections.abc import Sequence

from trainer.outcomes import BadInput

SHORTEST = 40  # characters of a text whose language is judged; in a shorter one it is a guess
_LONGEST = 1000  # characters that are looked at


class Languages:
    """Judges rows by the languages that a job keeps. mix: rows seen by language; `unknown` counts the short ones."""

    def __init__(self, kept: Sequence[str]) -> None:
        """kept: ISO 639-1 codes. Raises BadInput for an unknown one, and where lingua is not installed."""
        try:
            from lingua import IsoCode639_1, LanguageDetectorBuilder
        except ImportError as error:
            text = (
                "filters.languages: needs lingua, which is not installed; install the extra `language` or leave it out"
            )
            raise BadInput(text) from error
        known = {code for code in dir(IsoCode639_1) if code.isupper()}
        if unknown := [code for code in kept if code.upper() not in known]:
            raise BadInput(f"filters.languages: {', '.join(unknown)} is no ISO 639-1 code that lingua knows; mend it")
        self._kept = {code.lower() for code in kept}
        self._detector = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
        self.mix: Counter[str] = Counter()

    def keeps(self, text: str) -> bool:
        """Whether the text is in a kept language, or too short to say."""
        found = self._detector.detect_language_of(text[:_LONGEST]) if len(text) >= SHORTEST else None
        if found is None:
            self.mix["unknown"] += 1
            return True
        code = found.iso_code_639_1.name.lower()
        self.mix[code] += 1
        return code in self._kept
