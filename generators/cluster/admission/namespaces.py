"""Labels are what policies, queues and the proof trust. So only Argo CD's controller writes those of our namespaces."""

from generators import naming
from generators.cluster.admission.policy import TENANT, AdmissionPolicy, Resources, Rule, user

# Applies the platform tree and the foundations, hence all namespaces of ours.
SYNCER = user("argocd-application-controller", naming.ARGOCD_NAMESPACE)


def namespace_labels() -> AdmissionPolicy:
    """Every label of a namespace of ours, Pod Security's among them; `status` and `finalize` could change them too.

    No namespaceSelector: it reads the labels that the request would leave, so taking the label off would evade it.
    """
    ours = " || ".join(f"'{naming.PLANE_LABEL}' in variables.{labels}" for labels in ("before", "after"))
    fits = (
        f"object.metadata.name == variables.after['{naming.TENANT_LABEL}'] + '-' + "
        f"variables.after[?'{naming.PLANE_LABEL}'].orValue('')"
    )
    return AdmissionPolicy(
        name="tenon-namespace-labels",
        resources=[Resources("", ("namespaces", "namespaces/finalize", "namespaces/status"))],
        variables={
            "before": "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})",
            "after": "object.metadata.?labels.orValue({})",
            "guarded": f"(variables.before.map(k, k) + variables.after.map(k, k)).filter(k, "
            f"k.startsWith('{naming.PREFIX}/') || {ours})",
        },
        rules=[
            Rule(
                f"request.userInfo.username == '{SYNCER}' || "
                "variables.guarded.all(k, variables.before[?k] == variables.after[?k])",
                "labels of a tenant's or the platform's namespace change through Git alone; edit what is rendered",
            ),
            Rule(
                f"!('{naming.TENANT_LABEL}' in variables.after) || {fits}",
                "a namespace is <tenant>-<plane> of its own labels; correct the label",
            ),
        ],
        planes=(),
    )


def tenant_label() -> AdmissionPolicy:
    """No object of a namespace claims to be another tenant's; metrics and the directory read the label."""
    label = f"object.metadata.?labels[?'{naming.TENANT_LABEL}']"
    return AdmissionPolicy(
        name="tenon-tenant-label",
        resources=[Resources("*", ("*",))],
        rules=[
            Rule(
                f"{label}.orValue({TENANT}) == {TENANT}",
                "the tenant label is not the namespace's; remove it or name the namespace's tenant",
            )
        ],
    )
