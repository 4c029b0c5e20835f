"""Objects that only the trees of options hold: Ray Serve, experiments, schedules, roles of AWS, a mesh."""

from mutants.mutant import Mutant, at, drop

RAY = ("RayService", "vandelay-serve", "importer")
WORKER = "spec/rayClusterConfig/workerGroupSpecs/0"
WORKER_POD = f"{WORKER}/template/spec"
EXPERIMENT = ("Experiment", "umbrella-serve", "")
DRIFT = ("CronWorkflow", "hooli-train", "")
STEP = ("ServiceAccount", "hooli-train", "step")
ROLE = "metadata/annotations/eks.amazonaws.com~role-arn"
ROUTE = ("VirtualService", "wonka-serve", "")

OF_AWS = (
    Mutant("H7", "restricted", *RAY, drop(f"{WORKER_POD}/securityContext")),
    Mutant("H8", "tokens", *RAY, at(f"{WORKER_POD}/automountServiceAccountToken", value=True)),
    Mutant("H28", "peaks", *RAY, at(f"{WORKER}/maxReplicas", 40)),
    Mutant("H7", "restricted", *EXPERIMENT, at("spec/templates/0/template/spec/hostIPC", value=True)),
    Mutant("H28", "peaks", *EXPERIMENT, at("spec/templates/0/replicas", 40)),
    Mutant("H27", "schedules", *DRIFT, at("spec/schedules/0", "61 3 * * *")),
    Mutant("", "references", *DRIFT, at("spec/workflowSpec/workflowTemplateRef/name", "drift-00000000")),
    Mutant("H20", "buckets", *STEP, at(ROLE, "arn:aws:iam::123456789012:role/tenon-hooli-model")),
)
OF_MESH = (
    Mutant("H16", "hosts", *ROUTE, at("spec/hosts/0", "a.slugworth.models.tenon.example"), ("own-names",)),
    Mutant("H16", "hosts", *ROUTE, at("spec/gateways/0", "elsewhere/gateway")),
    Mutant("H16", "hosts", *ROUTE, drop("spec/exportTo")),
    Mutant("H16", "hosts", *ROUTE, at("spec/http/0/route/0/destination/host", "router.tenon-system.svc.cluster.local")),
)
