"""What a licence's name tells of commercial use, in SPDX and in what people write."""

import pytest

from trainer.contract.summary import summary
from trainer.publishing.licences import forbids_commercial_use, needs_reading
from trainer.tests.published import report

FORBIDDING = (
    "CC-BY-NC-4.0",
    "cc-by-nc-sa-3.0",
    "CC BY-NC 4.0",
    "cc_by_nc",
    "Creative Commons Attribution Non Commercial",
    "https://creativecommons.org/licenses/by-nc/4.0/",
    "PolyForm-Noncommercial-1.0.0",
    "research-only",
    "Mistral AI Research License",
    "MRL",
    "MNPL-0.1",
    "apple-amlr",
    "CC-BY-NC-4.0 AND MIT",
    "MIT AND (CC-BY-NC-4.0)",
    "(MIT OR CC-BY-NC-4.0) AND CC-BY-NC-4.0",
    "CC-BY-NC-4.0 OR (MIT AND research-only)",
    "CC BY-NC 4.0 (see LICENSE)",
    "MIT AND (CC-BY-NC-4.0",
)
FREE = (
    "MIT",
    "Apache-2.0",
    "apache 2.0",
    "CC-BY-4.0",
    "CC BY-SA 3.0",
    "CC0-1.0",
    "BSD-3-Clause",
    "NCSA",
    "ODC-By-1.0",
    "AGPL-3.0-or-later",
    "GPL-2.0-only WITH Classpath-exception-2.0",
    "MIT OR Apache-2.0",
    "CC-BY-NC-4.0 OR MIT",
    "(CC-BY-NC-4.0 AND MIT) OR (CC-BY-4.0)",
)
UNREAD = (
    "llama3.1",
    "Llama 3.1 Community License",
    "gemma",
    "deepseek",
    "openrail",
    "other",
    "CC-BY-ND-4.0",
    "MIT AND gemma",
    "MIT OR",
    "MIT WITH",
    "",
    "()",
)
READ = ("CC-BY-NC-4.0", "CC BY-NC 4.0", "cc_by_nc", "PolyForm-Noncommercial-1.0.0", "CC-BY-NC-4.0 AND MIT")


@pytest.mark.requirement("C49")
@pytest.mark.parametrize("licence", FORBIDDING)
def test_a_licence_that_forbids_commercial_use_is_known_by_its_name(licence: str) -> None:
    assert forbids_commercial_use(licence)


@pytest.mark.parametrize("licence", [*FREE, *UNREAD])
def test_no_other_licence_forbids_it(licence: str) -> None:
    assert not forbids_commercial_use(licence)


@pytest.mark.parametrize("licence", UNREAD)
def test_what_its_name_does_not_tell_is_to_be_read_by_a_person(licence: str) -> None:
    assert needs_reading(licence)


def test_an_expression_of_any_depth_is_judged() -> None:
    assert needs_reading("(" * 5000)


@pytest.mark.parametrize("licence", [*FREE, *READ])
def test_a_licence_that_everybody_knows_need_not_be_read(licence: str) -> None:
    assert not needs_reading(licence)


def test_the_summary_for_the_reviewer_names_what_is_to_be_read() -> None:
    told = summary(report("a" * 64, licences={"base": "gemma"}, licences_to_read=("base",)))

    assert "Licence to be read by a person** (base <code>gemma</code>)" in told
    assert "to be read" not in summary(report("a" * 64))
