"""What `tenon prove` hands on: certificates, storage claims, SARIF for code scanning, every refusal at once."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main
from tenon.sarif import Finding, Rule, sarif

pytestmark = pytest.mark.usefixtures("each_tree_proved_once")
ROOT = Path(__file__).parents[2]
PLACE = "rendered/eu1/tenants/acme/foundation"
DNS = f"{PLACE}/acme-train/cilium.io_ciliumnetworkpolicy_dns.yaml"
SCRAPE = f"{PLACE}/acme-train/cilium.io_ciliumnetworkpolicy_scrape.yaml"
Prove = Callable[..., tuple[int, str, str]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A root that holds a copy of rendered/."""
    shutil.copytree(ROOT / "rendered", tmp_path / "rendered")
    return tmp_path


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose copy of rendered/ is `widened`; nobody changes it further."""
    folder = tmp_path_factory.mktemp("opened")
    shutil.copytree(ROOT / "rendered", folder / "rendered")
    widened(folder)
    return folder


@pytest.fixture
def prove(capsys: pytest.CaptureFixture[str]) -> Prove:
    """`prove(root, words...)` -> exit code, stdout, stderr."""

    def run(root: Path, *words: str) -> tuple[int, str, str]:
        code = main(["prove", "--root", str(root), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def widened(root: Path) -> None:
    """Acme's metrics port is opened to globex, and its DNS list to globex's bucket."""
    scrape, dns = root / SCRAPE, root / DNS
    text = scrape.read_text().replace('serviceaccount": prometheus', 'serviceaccount": step')
    scrape.write_text(text.replace('namespace": monitoring', 'namespace": globex-train'))
    dns.write_text(dns.read_text().replace("tenon-acme.storage", "tenon-globex.storage"))


def line_of(file: Path, text: str) -> int:
    """Of the first line with the text."""
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    (found,) = document["clusters"].values()
    assert isinstance(found, dict)
    return found


@pytest.mark.requirement("A28")
def test_each_tenants_claim_about_each_foreign_bucket_is_told(prove: Prove) -> None:
    code, out, _ = prove(ROOT, "--json")
    assert code == 0
    assert cluster_of(json.loads(out))["storage"][0] == {
        "tenant": "acme",
        "buckets": "globex, initech",
        "level": "address-separated",
        "locks": ["address-separated", "dns-refused"],
    }


def test_a_lock_that_is_lost_lowers_the_claim_about_that_bucket_alone(prove: Prove, opened: Path) -> None:
    code, out, _ = prove(opened, "--json")
    claims = {(each["tenant"], each["buckets"]): each["locks"] for each in cluster_of(json.loads(out))["storage"]}
    assert code == 1
    assert claims["acme", "globex"] == ["address-separated"]
    assert claims["acme", "initech"] == ["address-separated", "dns-refused"]


def test_a_certificate_names_documents_and_lines(prove: Prove) -> None:
    _, out, _ = prove(ROOT, "--json", "--explain")
    apart = cluster_of(json.loads(out))["invariants"]["apart"]
    assert apart["number"] == 1
    assert any("acme-train" in line and "default-deny.yaml:" in line for line in apart["evidence"])
    assert "\napart: no pod of one tenant" in prove(ROOT, "--explain")[1]


def test_a_certificate_names_every_class_with_the_rules_of_both_its_sides(prove: Prove) -> None:
    found = cluster_of(json.loads(prove(ROOT, "--json", "--explain")[1]))
    sides = {(each["class"], each["direction"]): each for each in found["invariants"]["apart"]["certificates"]}
    assert {"acme", "globex", "initech"} == set(found["judged"])
    assert not [each for each in sides.values() if not each["default_deny"] or each["foreign"]]
    metrics = sides["acme-train/step", "ingress"]
    (scrape,) = [each for each in metrics["allows"] if each.partition(":")[0].endswith(SCRAPE)]
    assert scrape.endswith(f":{line_of(ROOT / SCRAPE, '- ports:')} spec.ingress[0].toPorts[0]")
    assert "certificates" not in cluster_of(json.loads(prove(ROOT, "--json")[1]))["invariants"]["apart"]


def test_a_broken_certificate_names_whom_the_rules_let_in(prove: Prove, opened: Path) -> None:
    apart = cluster_of(json.loads(prove(opened, "--json", "--explain")[1]))["invariants"]["apart"]
    sides = {(each["class"], each["direction"]): each["foreign"] for each in apart["certificates"]}
    assert sides["acme-train/step", "ingress"] == ["globex-train/step"]
    assert any(line.endswith("they open 1 classes of other tenants") for line in apart["evidence"])


def test_a_broken_proof_names_pod_fault_file_and_line_on_stderr(prove: Prove, opened: Path) -> None:
    code, _, said = prove(opened)
    assert code == 1
    assert "acme-train/step: is answered tenon-globex.storage.svc.cluster.local, a name of globex" in said
    assert f"{opened / DNS}:{line_of(opened / DNS, '- ports:')} " in said
    assert "NOT proved" in said


def test_a_counter_example_carries_the_flow_that_an_engine_can_be_asked(prove: Prove, opened: Path) -> None:
    found = cluster_of(json.loads(prove(opened, "--json")[1]))["invariants"]["apart"]["broken"][0]
    assert found["answer"] == "allow"
    assert {found["probe"]["from"]["namespace"], found["probe"]["to"]["namespace"]} == {"globex-train", "acme-train"}
    assert f"ask {json.dumps(found['probe'], sort_keys=True)}: allow" in prove(opened)[2]


def test_counter_examples_are_findings_at_the_rule_behind_them(prove: Prove, opened: Path) -> None:
    code, out, _ = prove(opened, "--sarif", "-")
    (run,) = json.loads(out)["runs"]
    places = {
        (result["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        for result in run["results"]
        for place in [result["locations"][0]["physicalLocation"]]
    }
    assert code == 1
    assert ("apart", SCRAPE, line_of(opened / SCRAPE, "- ports:")) in places
    assert ("names", DNS, line_of(opened / DNS, "- ports:")) in places
    assert all((opened / uri).exists() for _, uri, _ in places)


def test_every_finding_is_at_a_file_even_where_no_rule_is_behind_it(prove: Prove, copy: Path) -> None:
    (copy / DNS).unlink()
    code, out, _ = prove(copy, "--json")
    assert (code, cluster_of(json.loads(out))["invariants"]["alive"]["holds"]) == (1, False)
    for words, base in (((), copy), ((str(copy / "rendered/eu1"), "--root", str(ROOT)), copy / "rendered/eu1")):
        uris = {
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            for result in json.loads(prove(copy, *words, "--sarif", "-")[1])["runs"][0]["results"]
        }
        assert any(uri.endswith("core_serviceaccount_step.yaml") for uri in uris)
        assert not [uri for uri in uris if uri.startswith("/") or not (base / uri).is_file()]


def test_a_refusal_that_is_about_no_file_is_a_finding_at_one_if_there_is_one(prove: Prove, tmp_path: Path) -> None:
    (tmp_path / "rendered/eu1").mkdir(parents=True)
    (nowhere,) = json.loads(prove(tmp_path, "--sarif", "-")[1])["runs"][0]["results"]
    assert "locations" not in nowhere
    file = tmp_path / "rendered/eu1/core_configmap_a.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n")
    (somewhere,) = json.loads(prove(tmp_path, "--sarif", "-")[1])["runs"][0]["results"]
    place = somewhere["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "rendered/eu1/core_configmap_a.yaml"


def test_a_proof_without_a_fault_has_rules_and_no_findings(prove: Prove, tmp_path: Path) -> None:
    code, out, said = prove(ROOT, "--sarif", str(tmp_path / "proof.sarif"))
    (run,) = json.loads((tmp_path / "proof.sarif").read_text())["runs"]
    assert (code, run["results"]) == (0, [])
    assert {"apart", "names", "closed"} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert "invariant" in out
    assert "proved: 3 tenants" in said


def test_every_refused_file_is_named_and_is_a_finding(prove: Prove, copy: Path) -> None:
    (copy / DNS).write_text("a: [")
    (copy / SCRAPE).write_text((copy / SCRAPE).read_text().replace("  ingress:", "  unknown: 1\n  ingress:"))
    code, out, said = prove(copy, "--sarif", "-")
    places = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in json.loads(out)["runs"][0]["results"]
    }
    assert (code, places) == (2, {DNS, SCRAPE})
    assert (DNS in said, "field `unknown`" in said) == (True, True)


def test_one_tenants_change_is_judged_against_everyone(prove: Prove, opened: Path) -> None:
    assert prove(ROOT, "--only", "acme")[0] == 0
    code, _, said = prove(opened, "--only", "acme")
    assert (code, "only acme: what else" in said) == (1, True)
    assert "apart: acme-train/step: globex-train/step -> acme-train/step on 9464/TCP" in said


@pytest.mark.parametrize(
    ("words", "why_not"),
    [
        (("--only", "nobody"), "holds no tenant nobody"),
        (("--json", "--sarif", "-"), "both write to standard output"),
        (("--sarif", "/nowhere/x.sarif"), "/nowhere/x.sarif: cannot be written"),
    ],
)
def test_an_option_that_cannot_be_met_is_bad_input(words: tuple[str, ...], why_not: str, prove: Prove) -> None:
    code, _, said = prove(ROOT, *words)
    assert (code, why_not in said) == (2, True)


def test_an_alert_is_told_by_what_it_says_and_not_by_its_line() -> None:
    rule = Rule("TN1", "one", "says one thing")
    found = [Finding("TN1", "error", message, "a.yaml", line) for message, line in (("x", 1), ("y", 2), ("x", 9))]
    moved = [replace(finding, line=finding.line + 7) for finding in found]
    first, second = (
        [each["partialFingerprints"]["primaryLocationLineHash"] for each in sarif([rule], these)["runs"][0]["results"]]
        for these in (found, moved)
    )
    assert first == second
    assert len(set(first)) == 3
