"""Workflow templates: what a job may start, and that Argo's controller can run it (H27).

Source: the linter's rules of argo-workflows 4.0 (workflow/validate), which the API server does not know.
"""

import re
from collections.abc import Iterable, Iterator

from isolation.classes.inventory import Inventory, spec_of
from isolation.manifests.pods import WORKFLOW_KINDS, Body, workflow_spec
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

_CONTENT_HASHED = re.compile(r"[a-z][a-z0-9-]*-[0-9a-f]{8}")
_FORBIDDEN = (
    "artifactRepositoryRef",
    "hooks",
    "hostAliases",
    "inline",
    "onExit",
    "podSpecPatch",
    "templateRef",
    "volumeClaimTemplates",
)
_BOUND = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_OF_WORKFLOW = frozenset({"workflow.name", "workflow.namespace", "workflow.uid", "pod.name", "retries", "item"})
_QUEUE = "kueue.x-k8s.io/queue-name"
_MADE_BY, _ITSELF = "tenon.dev/workflow", "{{workflow.name}}"  # label and value by which a workflow ends what it made
_ENDED = frozenset({"jobsets.jobset.x-k8s.io", "rayjobs.ray.io", "trainjobs.trainer.kubeflow.org"})
_OF_OWN = [f"--selector={_MADE_BY}={_ITSELF}", "--wait=false"]
_LONGEST_SECONDS = 30 * 24 * 3600
_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # of a cron line: minute, hour, day, month, weekday


def workflows(inventory: Inventory) -> Result:
    """Templates with the hash of their content, bounded in time and tries, whose names and parameters all resolve."""
    documents = [each for each in inventory.tree.documents if each.kind in WORKFLOW_KINDS]
    faults = [CounterExample(document.file, fault) for document in documents for fault in _faults(document)]
    faults += [
        CounterExample(made.file, f"{made.kind} {made.name} {fault}")
        for made in inventory.nested
        for fault in _child_faults(made)
    ]
    claim = "workflows are content-hashed templates, bounded, without loose ends"
    return Result("workflows", claim, len(documents) + len(inventory.nested), tuple(faults), row="H27")


def schedules(inventory: Inventory) -> Result:
    """The API server takes minute 61; Argo's controller then never starts the workflow."""
    documents = list(inventory.tree.of_kind("CronWorkflow"))
    faults = [CounterExample(document.file, fault) for document in documents for fault in _schedule_faults(document)]
    asked = len(documents) + len(inventory.tenants)
    return Result(
        "schedules", "every schedule has a next time, in UTC, one run at a time", asked, tuple(faults), row="H27"
    )


def _faults(document: Document) -> Iterator[str]:
    if document.kind in {"Workflow", "ClusterWorkflowTemplate"}:
        yield f"is a {document.kind}; render templates of a namespace"
        return
    spec = workflow_spec(document)
    own = {key: value for key, value in spec.items() if key != "onExit"}  # of the whole; a step has none of its own
    yield from _forbidden(own if document.kind == "WorkflowTemplate" else document.body)
    if document.kind == "CronWorkflow":
        if set(spec) - {"arguments", "workflowTemplateRef", "workflowMetadata", "serviceAccountName"}:
            yield "holds a workflow of its own; refer to a template"
        return
    if not _CONTENT_HASHED.fullmatch(document.name):
        yield "has no hash of its content in its name, so a sync would change running jobs"
    if not 0 < (spec.get("activeDeadlineSeconds") or 0) <= _LONGEST_SECONDS:
        yield "has no deadline"
    if not (spec.get("ttlStrategy") or {}) or not (spec.get("podGC") or {}):
        yield "leaves workflows or pods behind; set ttlStrategy and podGC"
    if spec.get("serviceAccountName") != "step" or (spec.get("executor") or {}).get("serviceAccountName") != "executor":
        yield "runs under other accounts than step and executor"
    yield from _course(spec)


def _course(spec: Body) -> Iterator[str]:
    """Where it begins, what it runs, and what its end takes away."""
    templates = {str(template.get("name")): template for template in spec.get("templates") or ()}
    if spec.get("entrypoint") not in templates:
        yield f"begins at {spec.get('entrypoint')}, which is not there"
    for name, template in templates.items():
        yield from (f"template {name} {fault}" for fault in _template_faults(template, templates, spec))
    if any("resource" in template for template in templates.values()) and not _releases(templates, spec):
        yield "leaves what it made running when it is stopped; set onExit"


def _template_faults(template: Body, templates: Iterable[str], spec: Body) -> Iterator[str]:
    tasks = (template.get("dag") or {}).get("tasks") or ()
    steps = [step for group in template.get("steps") or () for step in group]
    for used in (str(each.get("template")) for each in (*tasks, *steps)):
        if used not in templates:
            yield f"uses template {used}, which is not there"
    yield from _dag_faults({str(task.get("name")): task for task in tasks})
    retry = template.get("retryStrategy")
    if retry is not None and "limit" not in retry:
        yield "is tried again without end; set a limit"
    for side in ("inputs", "outputs"):
        if (template.get(side) or {}).get("artifacts"):
            yield f"has {side} artifacts, which go by a repository that all tenants share"
    resource = template.get("resource")
    if resource is not None and not _creates(resource) and not _deletes_own(resource):
        yield f"does {resource.get('action')} to objects; it may create one and delete those of its own workflow"
    if "script" in template or {"http", "plugin", "data"} & set(template):
        yield "is a script, a request or a plugin; run a command of the image"
    yield from _unbound(template, spec)


def _creates(resource: Body) -> bool:
    return resource.get("action") == "create" and not resource.get("flags")


def _deletes_own(resource: Body) -> bool:
    """Of one kind that a workflow makes, those with the workflow's own label."""
    kind, *others = resource.get("flags") or [""]
    return (resource.get("action"), others) == ("delete", _OF_OWN) and kind in _ENDED and not resource.get("manifest")


def _releases(templates: dict[str, Body], spec: Body) -> bool:
    """Whether the exit handler deletes what the workflow made."""
    handler = templates.get(str(spec.get("onExit"))) or {}
    used = [str(step.get("template")) for group in handler.get("steps") or () for step in group]
    return any(_deletes_own((templates.get(name) or {}).get("resource") or {}) for name in used)


def _dag_faults(tasks: dict[str, Body]) -> Iterator[str]:
    after = {name: set(task.get("dependencies") or ()) for name, task in tasks.items()}
    for name, needed in after.items():
        yield from (f"task {name} waits for {other}, which is not there" for other in sorted(needed - set(after)))
    open_tasks = {name: needed & set(after) for name, needed in after.items()}
    while ready := {name for name, needed in open_tasks.items() if not needed}:
        open_tasks = {name: needed - ready for name, needed in open_tasks.items() if name not in ready}
    if open_tasks:
        yield f"tasks {', '.join(sorted(open_tasks))} wait for each other"


def _unbound(template: Body, spec: Body) -> Iterator[str]:
    """`{{...}}` that nothing fills stays in the text, and Argo refuses the workflow when it starts."""
    given = {
        f"workflow.parameters.{each.get('name')}" for each in (spec.get("arguments") or {}).get("parameters") or ()
    }
    given |= {
        f"inputs.parameters.{each.get('name')}" for each in (template.get("inputs") or {}).get("parameters") or ()
    }
    given |= {"workflow.status"} if template.get("name") == spec.get("onExit") else set()
    names = {str(task.get("name")) for task in (template.get("dag") or {}).get("tasks") or ()}
    names |= {str(step.get("name")) for group in template.get("steps") or () for step in group}
    for text in _strings(template):
        for inside in _BOUND.findall(text):
            name = inside.strip()
            if name.startswith("="):
                yield f"computes {{{{{name}}}}}; pass the value"
            elif name not in given | _OF_WORKFLOW and not _is_output(name, names):
                yield f"uses {{{{{name}}}}}, which nothing gives"


def _is_output(name: str, tasks: set[str]) -> bool:
    kind, _, rest = name.partition(".")
    return (kind in {"tasks", "steps"} and rest.partition(".")[0] in tasks) or name.startswith("item.")


def _child_faults(made: Document) -> Iterator[str]:
    if not made.labels.get(_QUEUE):
        yield f"has no label {_QUEUE}, so no queue admits it"
    if not made.name.startswith("{{workflow.name}}-"):
        yield "is not named after its workflow"
    if made.labels.get(_MADE_BY) != _ITSELF:
        yield f"has no label {_MADE_BY}, so it outlives a workflow that is stopped"
    spec = spec_of(made)
    if made.kind in {"JobSet", "RayJob"} and spec.get("suspend") is not True:
        yield "does not wait for its queue; set suspend"
    if made.kind == "JobSet":
        for job in spec.get("replicatedJobs") or ():
            pod = ((job.get("template") or {}).get("spec") or {}).get("template") or {}
            if (pod.get("spec") or {}).get("restartPolicy") != "Never":
                yield f"starts containers of {job.get('name')} again by itself; restartPolicy is Never"


def _schedule_faults(document: Document) -> Iterator[str]:
    spec = spec_of(document)
    lines = spec.get("schedules") or ()
    if not lines or "schedule" in spec:
        yield "has no list of schedules"
    for line in lines:
        fields = str(line).split()
        if len(fields) != len(_FIELDS) or not all(map(_is_in_range, fields, _FIELDS)):
            yield f"schedule {line} is no time"
    if spec.get("concurrencyPolicy") != "Forbid" or spec.get("timezone") not in {None, "UTC", "Etc/UTC"}:
        yield "runs twice at once, or by a clock that is moved; Forbid and UTC"


def _is_in_range(field: str, bounds: tuple[int, int]) -> bool:
    first, last = bounds
    for part in field.split(","):
        span, _, step = part.partition("/")
        if step and not (step.isdecimal() and 0 < int(step) <= last):
            return False
        ends = [] if span == "*" else span.split("-")
        if not all(end.isdecimal() and first <= int(end) <= last for end in ends) or len(ends) > 2:
            return False
        if ends and int(ends[0]) > int(ends[-1]):
            return False
    return True


def _forbidden(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key in _FORBIDDEN and child:
                yield f"sets {key}"
            yield from _forbidden(child)
    elif isinstance(value, list):
        for child in value:
            yield from _forbidden(child)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from _strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from _strings(child)
