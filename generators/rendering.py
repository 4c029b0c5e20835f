"""The whole of rendered/: built from the inputs, written, or compared with what is there.

One construct tree for each tenant (DESIGN D1): cdk8s grows faster than its number of objects, and one tenant can then
be rendered alone.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from generators import naming
from generators.cluster.addon_delivery import PlatformAddons
from generators.cluster.admission import PlatformAdmission
from generators.cluster.argo import PlatformArgo
from generators.cluster.broker import PlatformBroker
from generators.cluster.cilium import PlatformNetwork
from generators.cluster.dashboards import PlatformDashboards
from generators.cluster.deployments import PlatformDeployments
from generators.cluster.gateway import PlatformGateway
from generators.cluster.gpu import PlatformGpus
from generators.cluster.mesh import PlatformMesh
from generators.cluster.monitoring import PlatformMonitoring
from generators.cluster.objectstore import PlatformObjectStore
from generators.cluster.priorities import PlatformPriorities
from generators.cluster.prometheus import PlatformPrometheus
from generators.cluster.queues import PlatformQueues
from generators.cluster.services import PlatformServices
from generators.cluster.workflows import PlatformWorkflows
from generators.foundation.delivery import TenantDelivery
from generators.foundation.directory import TenantDirectory
from generators.foundation.kueue import TenantQueue
from generators.foundation.mesh import TenantMesh
from generators.foundation.namespaces import TenantNamespaces
from generators.foundation.network import TenantNetwork
from generators.foundation.quota import ServingQuota, TrainingQuota
from generators.foundation.rbac import TenantAccounts
from generators.foundation.storage import TenantStorage
from generators.inputs.folder import Inputs, read_inputs
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Manifest, synthesize
from generators.parallel import each
from generators.serving.model import ModelServing
from generators.training.monitoring import TrainingMonitor
from generators.training.templates import TrainingWorkflows, training_templates
from generators.writing import to_yaml, write_whole

Files = dict[str, str]  # path from the root -> text
Progress = Callable[[int, int], None]  # tenants done, of how many


def quiet(_done: int, _of: int) -> None:
    """Nobody is told."""


class UnknownTenantError(Exception):
    """`only` names a tenant that has no file."""


class HalfWrittenError(OSError):
    """Writing stopped at `filename`; what was written before it stands, so rendered/ is of two renderings."""


@dataclass(frozen=True)
class Difference:
    """What rendered/ on disk is not; each list holds paths from the root."""

    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.stale or self.different)


@dataclass(frozen=True)
class Rendering:
    """A finished rendering: of everything, or of one tenant's folder."""

    folder: str  # every file below it is ours: what is not in `files` is stale
    files: Files
    tenants: tuple[str, ...]

    def compare(self, root: Path) -> Difference:
        """What differs below `root`; nothing is written. Raises OSError for what cannot be read."""
        there = set(_on_disk(root, self.folder))
        return Difference(
            missing=tuple(sorted(self.files.keys() - there)),
            stale=tuple(sorted(there - self.files.keys())),
            different=tuple(sorted(path for path in there & self.files.keys() if not _same(root, path, self.files))),
        )

    def write(self, root: Path) -> Difference:
        """Make the folder below `root` equal to `files`; returns what was changed.

        Raises OSError for what cannot be read, and then nothing is written; else HalfWrittenError.
        """
        found = self.compare(root)
        at = self.folder
        try:
            for at in found.stale:
                (root / at).unlink()
            for at in (*found.missing, *found.different):
                write_whole(root / at, self.files[at].encode())  # replaces a link, never writes through it
            _remove_empty_folders(root / self.folder)
        except OSError as error:
            raise HalfWrittenError(error.errno, error.strerror, at) from error  # a full disk names no file itself
        return found


def render(root: Path, *, only: str | None = None, progress: Progress = quiet) -> Rendering:
    """Render all tenants and the platform, or one tenant alone.

    Raises InputErrors for faulty inputs and UnknownTenantError when `only` has no file.
    """
    inputs = read_inputs(root)
    if only is None:
        return render_all(inputs, progress=progress)
    chosen = [tenant for tenant in inputs.tenants if tenant.id == only]
    if not chosen:
        known = ", ".join(tenant.id for tenant in inputs.tenants)
        raise UnknownTenantError(f"{only!r}: tenants/{only}.yaml is not there; the tenants are {known}")
    folder = naming.tenant_folder(inputs.platform.cluster, only)
    return Rendering(folder, tenant_files(chosen[0], inputs.platform), (only,))


def write(root: Path, *, only: str | None = None) -> Difference:
    """Render and write; returns what was changed. Raises as `render` does."""
    return render(root, only=only).write(root)


def check(root: Path, *, only: str | None = None) -> Difference:
    """Render and compare; falsy when rendered/ is as it must be. Raises as `render` does."""
    return render(root, only=only).compare(root)


def render_all(inputs: Inputs, *, processes: int | None = None, progress: Progress = quiet) -> Rendering:
    """The whole of rendered/<cluster>. `processes`: as many as are worth it, unless said."""
    files = platform_files(inputs.platform)
    work = partial(tenant_files, platform=inputs.platform)
    for number, made in enumerate(each(work, inputs.tenants, processes=processes), start=1):
        files |= made
        progress(number, len(inputs.tenants))
    _refuse_shared_objects(files)
    return Rendering(naming.RENDERED, files, tuple(tenant.id for tenant in inputs.tenants))


def tenant_files(tenant: Tenant, platform: Platform) -> Files:
    """All files of one tenant. They depend on its own file, its model records and platform.yaml alone (D2)."""
    return _files(
        naming.tenant_folder(platform.cluster, tenant.id), lambda scope: _tenant_tree(scope, tenant, platform)
    )


def platform_files(platform: Platform) -> Files:
    """All files of the platform. They depend on platform.yaml alone (D2)."""
    return _files(naming.platform_folder(platform.cluster), lambda scope: _platform_tree(scope, platform))


def _tenant_tree(scope: Construct, tenant: Tenant, platform: Platform) -> None:
    templates = training_templates(tenant, platform)
    TenantNamespaces(scope, "namespaces", tenant=tenant, platform=platform)
    TenantAccounts(scope, "accounts", tenant=tenant, platform=platform)
    TrainingQuota(scope, "training-quota", tenant=tenant, platform=platform)
    ServingQuota(scope, "serving-quota", tenant=tenant, platform=platform)
    TenantQueue(scope, "queue", tenant=tenant, platform=platform)
    TenantNetwork(scope, "network", tenant=tenant, platform=platform)
    TenantMesh(scope, "mesh", tenant=tenant, platform=platform)
    TenantStorage(scope, "storage", tenant=tenant, platform=platform)
    TenantDirectory(scope, "directory", tenant=tenant, platform=platform, templates=templates)
    TrainingWorkflows(scope, "training", tenant=tenant, platform=platform, templates=templates)
    TrainingMonitor(scope, "training-monitor", tenant=tenant)
    for model in tenant.models:
        ModelServing(scope, f"serving-{model}", tenant=tenant, platform=platform, model=model)
    TenantDelivery(scope, "delivery", tenant=tenant, platform=platform)


def _platform_tree(scope: Construct, platform: Platform) -> None:
    PlatformServices(scope, "services", platform=platform)
    PlatformNetwork(scope, "network", platform=platform)
    PlatformQueues(scope, "queues", platform=platform)
    PlatformPriorities(scope, "priorities", platform=platform)
    PlatformWorkflows(scope, "workflows", platform=platform)
    PlatformBroker(scope, "broker", platform=platform)
    PlatformDeployments(scope, "deployments", platform=platform)
    PlatformObjectStore(scope, "object-store", platform=platform)
    PlatformGateway(scope, "gateway", platform=platform)
    PlatformMesh(scope, "mesh", platform=platform)
    PlatformMonitoring(scope, "monitoring", platform=platform)
    PlatformPrometheus(scope, "prometheus", platform=platform)
    PlatformDashboards(scope, "dashboards", platform=platform)
    PlatformGpus(scope, "gpus", platform=platform)
    PlatformAdmission(scope, "admission", platform=platform)
    PlatformArgo(scope, "argo", platform=platform)
    PlatformAddons(scope, "add-ons", platform=platform)


def _files(folder: str, build: Callable[[Construct], None]) -> Files:
    objects = synthesize(build)
    files = {f"{folder}/{made.path}": _text(made) for made in objects}
    assert len(files) == len(objects), "objects made = files written"  # noqa: S101 - DESIGN D1
    return files


def _refuse_shared_objects(files: Files) -> None:
    """An object that two folders render would be adopted back and forth by two Applications.

    Raises ValueError, because the id rules of naming.py are to make it impossible.
    """
    seen: dict[tuple[str, ...], str] = {}
    for path in files:
        identity = tuple(path.split("/")[-2:])  # namespace; group, kind and name
        if identity in seen:
            raise ValueError(f"{path}: {seen[identity]} is the same object; reserve the id in naming.py")
        seen[identity] = path


def _text(made: Manifest) -> str:
    return to_yaml(made.body, source=made.source)


def _on_disk(root: Path, folder: str) -> Iterator[str]:
    if not (root / folder).is_dir():
        return
    for parent, folders, files in os.walk(root / folder, onerror=_raise):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        inside = Path(parent).relative_to(root).as_posix()
        yield from (f"{inside}/{name}" for name in (*files, *links))


def _raise(error: OSError) -> None:
    """os.walk goes on without a folder that it cannot list, unless it is told not to."""
    raise error


def _same(root: Path, path: str, files: Files) -> bool:
    there = root / path
    return stat.S_ISREG(there.lstat().st_mode) and there.read_bytes() == files[path].encode()


def _remove_empty_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        if parent != str(folder) and not any(Path(parent).iterdir()):
            Path(parent).rmdir()
