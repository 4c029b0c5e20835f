"""`tenon why`: one page for people, one document for machines, and a tenant key that does what it says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main
from tenon.provenance import input_behind, input_key

ROOT = Path(__file__).parents[2]
Why = Callable[..., dict[str, Any]]


@pytest.fixture
def why(capsys: pytest.CaptureFixture[str]) -> Why:
    """The JSON answer to a question about a root, by default the repository."""

    def ask(*words: str, root: Path = ROOT) -> dict[str, Any]:
        assert main(["why", *words, "--root", str(root), "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return ask


@pytest.mark.requirement("N4")
def test_a_denied_flow_names_document_line_key_and_the_change_that_would_open_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["why", "acme/train", "s3:globex", "--root", str(ROOT)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("DENIED  acme/train -> s3:globex\n")
    assert "acme-train/{step,trainer} -> storage/s3-globex 8333/TCP\n  dns          refused: no list names it\n" in out
    assert "spec.egress[0].toPorts[0], from tenants/acme.yaml:13 egress\n" in out
    assert "no single change would open it; these 3 together would:\n" in out


def test_an_allowed_flow_names_the_rule_of_each_side(why: Why) -> None:
    found = why("tenon-system/router", "acme/serve", "--port", "8000")
    assert found["verdict"] == "allow"
    first = found["groups"][0]
    assert first["flows"] == ["tenon-system/router -> acme-serve/model 8000/TCP"]
    egress, ingress = first["locks"]
    assert egress["rules"][0]["from"] == "platform.yaml (no one key of it)"
    assert "/acme-serve/cilium.io_ciliumnetworkpolicy_requests.yaml:22" in ingress["rules"][0]["place"]


def test_what_no_key_is_behind_is_said_to_be_every_tenants_and_is(why: Why) -> None:
    (lock, _) = why("acme/train/step", "globex/serve/model", "--port", "8000")["groups"][0]["locks"]
    assert lock["rules"][0]["from"] == "tenants/acme.yaml (every tenant has it)"
    keyless: dict[str, set[str]] = {}
    for file in ROOT.glob("rendered/*/tenants/*/foundation/**/*networkpolicy_*.yaml"):
        tenant = file.relative_to(ROOT / "rendered").parts[2]
        found = input_behind(ROOT, file)
        assert found is not None
        if not found.key:
            keyless.setdefault(tenant, set()).add(f"{file.parent.name}/{file.name}".replace(tenant, "TENANT"))
    assert len(keyless) > 1
    assert len(set(map(frozenset, keyless.values()))) == 1


def test_a_public_host_leads_over_the_entrance_to_the_model_servers_behind_its_route(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["why", "world", "replies.acme.models.tenon.example", "--root", str(ROOT)]) == 0
    out = capsys.readouterr().out
    assert "ALLOWED  world -> replies.acme.models.tenon.example\n\nworld -> acme-serve/model 8000/TCP\n" in out
    assert "  ingress      allowed (to ingress 443/TCP)\n" in out
    assert "  egress       allowed (from ingress)\n" in out


def test_the_lines_that_are_named_hold_what_they_are_named_for(why: Why) -> None:
    for lock in why("acme/train", "mirror.acme.example")["groups"][0]["locks"]:
        for rule in lock["rules"]:
            file, _, line = rule["place"].rpartition(":")
            assert "- ports:" in (ROOT / file).read_text().splitlines()[int(line) - 1]
            place, key = rule["from"].split()
            assert key == "egress[0]"
            file, _, line = place.rpartition(":")
            assert "mirror.acme.example" in (ROOT / file).read_text().splitlines()[int(line) - 1]


def test_the_tenant_key_that_would_open_a_host_opens_it_when_it_is_rendered(
    why: Why, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in root.glob("tenants/[gi]*"):
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    main(["render", "--root", str(root)])
    capsys.readouterr()
    before = why("acme/train", "pypi.org", root=root)
    assert (before["verdict"], before["flip"]["single"]) == ("deny", True)
    (change,) = before["flip"]["changes"]
    assert change["key"] == {"place": "tenants/acme.yaml:13 egress", "host": "pypi.org", "adds": True}
    tenant = root / "tenants" / "acme.yaml"
    tenant.write_text(tenant.read_text().replace("[mirror.acme.example]", "[mirror.acme.example, pypi.org]"))
    main(["render", "--root", str(root), "--only", "acme"])
    capsys.readouterr()
    after = why("acme/train", "pypi.org", root=root)
    assert after["verdict"] == "allow"
    assert after["flip"]["changes"][0]["key"]["adds"] is False


@pytest.mark.parametrize(
    ("words", "why_not"),
    [
        (("acme/train", "s3:nobody"), "known: acme, globex, initech, models"),
        (("nobody/train", "acme/serve"), "tenants: acme, globex, initech"),
        (("acme/train", "globex/serve", "--port", "0"), "is not one of 1-65535"),
        (("acme/train", "ip:10.0.0.999"), "is no address"),
        (("acme/train", "globex/serve", "--tree", "nowhere"), "nowhere: is no folder"),
    ],
)
def test_bad_words_are_bad_input(words: tuple[str, ...], why_not: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", *words, "--root", str(ROOT)]) == 2
    said = capsys.readouterr()
    assert (said.out, why_not in said.err) == ("", True)


def test_a_tree_that_is_not_understood_answers_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "rendered", tmp_path / "rendered")
    next(tmp_path.rglob("cilium.io_ciliumnetworkpolicy_dns.yaml")).write_text("a: [")
    assert main(["why", "acme/train", "globex/serve", "--root", str(tmp_path)]) == 2
    assert "is no YAML" in capsys.readouterr().err


def test_one_of_several_clusters_has_to_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("eu1", "us1"):
        (tmp_path / "rendered" / name).mkdir(parents=True)
    assert main(["why", "acme/train", "globex/serve", "--root", str(tmp_path)]) == 2
    assert "holds 2 clusters; name one, as --tree" in capsys.readouterr().err


def test_a_key_is_found_by_its_path_and_a_value_by_its_item(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x:\n  y:\n  - one\n  - two\n")
    assert str(input_key(tmp_path, "a.yaml", "x.y")) == "a.yaml:2 x.y"
    assert str(input_key(tmp_path, "a.yaml", "x.y", value="two")) == "a.yaml:4 x.y[1]"
    assert str(input_key(tmp_path, "gone.yaml", "x")) == "gone.yaml x"
    assert str(input_key(tmp_path, "charts.lock", "")) == "charts.lock"


@pytest.mark.parametrize("header", ["", "# by hand\n", "# from:\n"])
def test_a_file_without_a_header_has_no_key(header: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(f"{header}kind: X\n")
    assert input_behind(tmp_path, tmp_path / "f.yaml") is None
