"""A file that differs from one read before in the tenant's id only is filled in, without being looked at again.

Everything that the first was checked for holds of the other too, because of what is checked here:

- Wherever the letters of an id stand in a text, they are the id, as a whole word; so the two texts are made of one
  template (templates.py), and where nothing but ids was marked and no key holds one, nothing else differs.
- No mark stands in a text as it came.
- A word without quotes that holds the id is asked again whether it is a string.
- Of the kind and its group, by which the file is named, the id is no part.

The bounds and signs that a whole text is searched for, as what Argo CD passes over, are searched for in each text.
"""

from dataclasses import dataclass, field

from isolation.manifests.reading import is_plain_string
from isolation.manifests.templates import ID, OF_ID, Template
from isolation.manifests.whole_words import replaced

_MARK = "\0"  # no YAML text holds it


@dataclass(frozen=True, eq=False)
class Sample:
    """A file that was read and checked. begins: how the name of each file that holds one like it begins."""

    template: Template
    begins: str


@dataclass(eq=False)
class Samples:
    """The files that were read so far. strings: words of one tenant's texts that are strings without quotes."""

    _known: dict[str, Sample] = field(default_factory=dict)
    _tenant: str = ""
    _strings: set[str] = field(default_factory=set)

    def like(self, text: str, tenant: str) -> Sample | None:
        """What the text would be read as. tenant: in whose folder it stands."""
        if _MARK in text or not ID.fullmatch(tenant):
            return None
        sample = self._known.get(text.replace(tenant, _MARK))
        return sample if sample is not None and self._are_strings(sample, tenant) else None

    def keep(self, text: str, tenant: str, sample: Sample) -> None:
        """A text that was read and checked, made of the sample's template with the tenant's id."""
        marked, body = text.replace(tenant, _MARK), sample.template.body
        is_whole = _MARK not in text and marked == replaced(text, tenant, _MARK)
        if is_whole and OF_ID not in f"{body['apiVersion']} {body['kind']}":
            self._known[marked] = sample

    def _are_strings(self, sample: Sample, tenant: str) -> bool:
        if tenant != self._tenant:
            self._tenant, self._strings = tenant, set()
        new = sample.template.plain - self._strings
        if not all(is_plain_string(each.replace(OF_ID, tenant)) for each in new):
            return False
        self._strings |= new
        return True
