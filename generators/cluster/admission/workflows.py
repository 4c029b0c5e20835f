"""Workflows run reviewed templates only.

The workflow controller's `templateReferencing: Strict` says the same and was bypassed three times in 2026
(CVE-2026-31892, GHSA-3775-99mw-8rp4, CVE-2026-54526).
"""

from generators import naming
from generators.cluster.admission.policy import AdmissionPolicy, Resources, Rule, among, user
from generators.naming import EXECUTOR, STEP

DISPATCHER = user("dispatcher", naming.SYSTEM_NAMESPACE)
CONTROLLER = user("workflow-controller", naming.WORKFLOWS_NAMESPACE)
TEMPLATE_NAME = "^[a-z]+(-[a-z]+)*-[0-9a-f]{8}$"  # a hash of the content: a sync changes no running job
# Of a Workflow's spec; everything else is the template's.
SUBMITTED = ("activeDeadlineSeconds", "arguments", "shutdown", "suspend", "workflowTemplateRef")
_OWN = f"--selector={naming.WORKFLOW_LABEL}={{{{workflow.name}}}}"  # what a Workflow itself has made
# Templates that run nothing of their own or a container; http and plugin would run in an agent pod of Argo's.
TEMPLATE_KINDS = ("container", "dag", "resource", "steps", "suspend")

_GROUP = "argoproj.io"


def workflows() -> AdmissionPolicy:
    """A Workflow is a reference, arguments and the wish to stop; the dispatcher makes it, or a CronWorkflow does."""
    return AdmissionPolicy(
        name="tenon-workflows",
        resources=[Resources(_GROUP, ("workflows",))],
        variables={"old": "request.operation == 'CREATE' ? object.spec : oldObject.spec"},
        rules=[
            *_reference("object.spec"),
            Rule(
                f"request.operation != 'CREATE' || request.userInfo.username == '{DISPATCHER}' || "
                f"(request.userInfo.username == '{CONTROLLER}' && object.metadata.?ownerReferences.orValue([])"
                ".exists(o, o.kind == 'CronWorkflow'))",
                "the dispatcher creates Workflows, and the workflow controller those of a CronWorkflow; send a job",
            ),
            Rule(
                "object.spec.workflowTemplateRef == variables.old.workflowTemplateRef && "
                # the controller writes `arguments: {}` where there are none
                "['artifacts', 'parameters'].all(k, "
                "object.spec.?arguments[?k] == variables.old.?arguments[?k])",
                "a Workflow keeps its template and its arguments; make a new attempt",
            ),
            Rule(
                "object.spec.?shutdown.orValue('') in ['', 'Stop']",
                "Terminate skips the exit handler, so what the Workflow made would keep its GPUs; use Stop",
            ),
        ],
        planes=("train",),
    )


def cron_workflows() -> AdmissionPolicy:
    """What a CronWorkflow will submit is held to the same."""
    return AdmissionPolicy(
        name="tenon-cron-workflows",
        resources=[Resources(_GROUP, ("cronworkflows",))],
        rules=_reference("object.spec.workflowSpec"),
        planes=("train",),
    )


def workflow_templates() -> AdmissionPolicy:
    """Templates patch no pod, call nothing outside themselves, and run as the accounts of their role."""
    all_templates = "(object.spec.?templates.orValue([]) + object.spec.?templateDefaults.optMap(t, [t]).orValue([]))"
    kinds = among(TEMPLATE_KINDS)
    return AdmissionPolicy(
        name="tenon-workflow-templates",
        resources=[Resources(_GROUP, ("workflowtemplates",))],
        variables={"templates": all_templates},
        rules=[
            Rule(
                f"object.metadata.name.matches('{TEMPLATE_NAME}')",
                "a template's name ends in a hash of its content; render it",
            ),
            Rule(
                "!has(object.spec.podSpecPatch) && !has(object.spec.artifactGC) && "
                "variables.templates.all(t, !has(t.podSpecPatch))",
                "podSpecPatch and artifactGC change pods after review; write the pod's fields out",
            ),
            Rule(
                "!object.spec.?hostNetwork.orValue(false) && !has(object.spec.workflowTemplateRef)",
                "a template of a tenant has no host network and refers to no other template",
            ),
            Rule(
                f"object.spec.?serviceAccountName.orValue('') == '{STEP}' && "
                f"object.spec.?executor.?serviceAccountName.orValue('') == '{EXECUTOR}' && "
                f"!object.spec.?automountServiceAccountToken.orValue(true)",
                f"workflows run as {STEP} without a token, and Argo's own containers as {EXECUTOR}",
            ),
            Rule(
                f"variables.templates.all(t, !has(t.serviceAccountName) || "
                f"(t.serviceAccountName == '{EXECUTOR}' && has(t.resource)))",
                f"only a resource template names an account, and it is {EXECUTOR}",
            ),
            Rule(
                "variables.templates.all(t, !has(t.resource) || "
                "(t.resource.action == 'create' && !has(t.resource.flags)) || "
                "(t.resource.action == 'delete' && !has(t.resource.manifest) && "
                f"t.resource.?flags.orValue([]).exists(f, f == '{_OWN}')))",
                "a resource template creates an object, or deletes those of its own Workflow by their label",
            ),
            Rule(
                f"object.spec.?templates.orValue([]).all(t, {kinds}.exists(k, k in t)) && "
                "variables.templates.all(t, !('http' in t) && !('plugin' in t) && !('script' in t) && "
                "!('data' in t) && !('containerSet' in t) && "
                "t.?dag.?tasks.orValue([]).all(k, !has(k.templateRef) && !has(k.inline)) && "
                "t.?steps.orValue([]).all(s, s.all(k, !has(k.templateRef) && !has(k.inline))))",
                f"a template is one of {', '.join(TEMPLATE_KINDS)}, and its tasks are templates beside it",
            ),
        ],
        planes=("train",),
    )


def _reference(spec: str) -> list[Rule]:
    return [
        Rule(
            f"{spec}.all(k, k in {among(SUBMITTED)})",
            "a Workflow is a workflowTemplateRef and arguments; everything else, podSpecPatch too, is the template's",
        ),
        Rule(
            f"{spec}.?workflowTemplateRef.?name.orValue('').matches('{TEMPLATE_NAME}') && "
            f"!{spec}.?workflowTemplateRef.?clusterScope.orValue(false)",
            "a Workflow names a template of its namespace whose name ends in a hash of its content",
        ),
    ]
