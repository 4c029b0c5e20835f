"""The flows that a change opens and closes, as a reviewer reads them: a page for each kind of change."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from isolation.answers.changes import FlowChanges, Side
from isolation.answers.open_flows import Kind, OpenFlow

from tenon.__main__ import main
from tenon.comment import markdown
from tenon.flow_changes import flow_sections

pytestmark = pytest.mark.usefixtures("each_content_judged_once")
ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
TRAIN = "eu1/tenants/acme/foundation/acme-train"
HOST = "mirror.acme.example"


def add_tenant(base: Path, _: Path) -> None:
    shutil.rmtree(base / "eu1/tenants/initech")


def rename_tenant(_: Path, head: Path) -> None:
    """Initech under another name, in every text and name of its files."""
    old, new = head / "eu1/tenants/initech", head / "eu1/tenants/hooli"
    for file in [path for path in old.rglob("*") if path.is_file()]:
        place = new / re.sub("initech", "hooli", file.relative_to(old).as_posix())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(re.sub("initech", "hooli", file.read_text()))
    shutil.rmtree(old)


def add_host(_: Path, head: Path) -> None:
    """What `egress: [mirror.acme.example, pypi.org]` renders, in the two objects that hold hosts."""
    dns = head / TRAIN / "cilium.io_ciliumnetworkpolicy_dns.yaml"
    dns.write_text(
        dns.read_text().replace(f"matchName: {HOST}\n", f"matchName: {HOST}\n        - matchName: pypi.org\n")
    )
    hosts = head / TRAIN / "cilium.io_ciliumnetworkpolicy_egress.yaml"
    (rule,) = re.findall(r"  - toFQDNs:.*?(?=  egressDeny:)", hosts.read_text(), re.DOTALL)
    hosts.write_text(hosts.read_text().replace(rule, rule + rule.replace(HOST, "pypi.org")))


def widen(_: Path, head: Path) -> None:
    """Both sides of a flow, by hand: globex's trainers may ask acme's model server."""
    requests = head / "eu1/tenants/acme/foundation/acme-serve/cilium.io_ciliumnetworkpolicy_requests.yaml"
    text = requests.read_text().replace('serviceaccount": router', 'serviceaccount": step')
    requests.write_text(text.replace('namespace": tenon-system', 'namespace": globex-train'))
    status = head / "eu1/tenants/globex/foundation/globex-train/cilium.io_ciliumnetworkpolicy_status.yaml"
    text = status.read_text().replace('serviceaccount": watcher', 'serviceaccount": model').replace("8081", "8000")
    status.write_text(text.replace('namespace": tenon-system', 'namespace": acme-serve'))


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of rendered/."""
    return tuple(shutil.copytree(ROOT / "rendered", tmp_path / name) for name in ("base", "head"))  # type: ignore[return-value]


@pytest.mark.requirement("N2")
@pytest.mark.parametrize(
    ("name", "change", "is_failure"),
    [
        ("tenant-added", add_tenant, False),
        ("tenant-renamed", rename_tenant, False),
        ("host-added", add_host, False),
        ("policy-widened", widen, True),
    ],
)
def test_a_reviewer_reads_this_page(
    name: str, change: Callable[[Path, Path], None], *, is_failure: bool, trees: tuple[Path, Path]
) -> None:
    """TENON_UPDATE_GOLDEN=1 writes it anew."""
    base, head = trees
    change(base, head)
    found = flow_sections(base, head)
    page = markdown(name, [*([found.breaks] if found.breaks.rows else []), found.grouped])
    golden = GOLDEN / f"flows-{name}.md"
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        golden.write_text(page, encoding="utf-8")
    assert page == golden.read_text(encoding="utf-8")
    assert found.is_failure is is_failure


@pytest.mark.requirement("N2")
def test_an_opening_between_tenants_fails_and_stands_first(
    trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, head = trees
    widen(base, head)
    assert main(["diff", str(base), str(head)]) == 1
    said = capsys.readouterr()
    title, _, first = said.out.splitlines()[:3]
    assert title == "Isolation: BROKEN by this change (apart, alive, closed, own-names)"
    assert first.split() == ["eu1:", "globex", "->", "acme", "opened", "globex-train/step", "->", "acme-serve/model"]
    assert "BROKEN by this change" in said.err


def test_a_tree_that_can_no_longer_be_proved_fails(
    trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, head = trees
    file = head / TRAIN / "cilium.io_ciliumnetworkpolicy_dns.yaml"
    file.write_text(file.read_text().replace("  egress:", "  unknown: 1\n  egress:"))
    assert main(["diff", str(base), str(head), "--json"]) == 1
    assert "isolation NOT proved (eu1: " in capsys.readouterr().out
    (base / TRAIN / file.name).write_text(file.read_text())
    assert main(["diff", str(base), str(head), "--json"]) == 0  # it could not be proved before either


def test_flows_of_a_tree_that_cannot_be_judged_are_not_told(trees: tuple[Path, Path]) -> None:
    base, head = trees
    (base / TRAIN / "cilium.io_ciliumnetworkpolicy_dns.yaml").write_text("a: [")
    found = flow_sections(base, head)
    assert (found.is_failure, found.grouped.rows) == (False, ())
    assert found.grouped.title.endswith("isolation proved; what was open before in eu1 cannot be told")


def test_what_was_broken_before_is_not_this_changes_fault(trees: tuple[Path, Path]) -> None:
    base, head = trees
    widen(base, base)
    widen(head, head)
    found = flow_sections(base, head)
    assert (found.is_failure, found.breaks.rows) == (False, ())
    assert "NOT proved" in found.grouped.title


def flow(source: str, target: str, port: str = "443/TCP", *, tenant: str = "", other: str = "") -> OpenFlow:
    return OpenFlow(source, target, port, "", Kind.FLOW, tenant, other)


def changes(before: list[OpenFlow], after: list[OpenFlow], *, tenants: str = "a b c") -> FlowChanges:
    known = frozenset(tenants.split())
    return FlowChanges(Side(known, frozenset(before)), Side(known, frozenset(after)))


def test_the_same_change_of_many_tenants_is_one_row() -> None:
    opened = [flow(f"{tenant}-train/step", "x.example", tenant=tenant) for tenant in "abc"]
    (row,) = changes([], opened).rows
    assert (row.who, row.what) == ("3 tenants: a, b, c", "<tenant>-train/step -> x.example 443/TCP")


def test_accounts_and_ports_that_change_alike_are_one_row() -> None:
    opened = [
        flow(f"a-train/{who}", "x", port, tenant="a") for who in ("step", "trainer") for port in ("1/TCP", "2/UDP")
    ]
    (row,) = changes([], opened).rows
    assert row.what == "a-train/{step,trainer} -> x 1/TCP, 2/UDP"


def test_an_id_inside_another_word_is_not_taken_for_the_tenant() -> None:
    opened = [flow("a-train/step", "data.example", tenant="a"), flow("b-train/step", "dbtb.example", tenant="b")]
    assert {row.what for row in changes([], opened).rows} == {
        "a-train/step -> data.example 443/TCP",
        "b-train/step -> dbtb.example 443/TCP",
    }


def test_a_flow_between_tenants_is_no_row_among_the_others() -> None:
    found = changes([], [flow("a-train/step", "b-serve/model", tenant="a", other="b")])
    assert (found.rows, [row.who for row in found.crossings]) == ((), ["a -> b"])


def test_two_tenants_are_one_row_however_much_opens_between_them() -> None:
    ends = [(who, f"b-serve/{model}") for who in ("step", "trainer") for model in ("one", "two")]
    opened = [flow(f"a-train/{who}", target, tenant="a", other="b") for who, target in ends]
    opened += [flow("a-train/step", f"b-{place}/x", tenant="a", other="b") for place in "pqr"]
    (row,) = changes([], opened).crossings
    assert row.who == "a -> b"
    assert row.what.startswith("a-train/step -> b-p/x 443/TCP; ")
    assert row.what.endswith(" and 1 more")
    (pair,) = changes([], opened[:4]).crossings
    assert pair.what == "a-train/{step,trainer} -> b-serve/{one,two} 443/TCP"


def test_what_is_open_in_both_trees_is_no_change() -> None:
    same = [flow("a-train/step", "x", tenant="a"), flow("a-train/step", "b-serve/model", tenant="a", other="b")]
    found = changes(same, same)
    assert (found.rows, found.crossings, found.opened, found.closed) == ((), (), (), ())
