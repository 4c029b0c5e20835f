"""Words that stand in the code of the network's judge, so that a tenant of that name is not like any other (shapes.py).

A test compares the list with the code: add what it names.
"""

WORDS = frozenset(
    """
    a-f a-z a-z0-9 abel abels accepted account accounted acket address-separated addresses admissionregistration afka
    aggregate-cluster aggregate-cluster-mesh aggregate-world alidating alive all allow always amazonaws ame ames
    amespace amilies ange anges annotation annotations another-value answered any any-name any-other apacity apart api
    api-node apiserver app apps arameter argo argo-rollouts argocd argoproj args arsed atch atches ateway attern
    authentication authorization automount autoscaler autoscaling aws backend backends batch beta bject bool broker
    broker-entities broker-operator bucket caled ccnp ccount certificate cho cidr cidrgroup cilium cilium-config
    cilium-values closed closes cloudflare-dns cluster cluster-mesh cluster-profile clustermesh cni cnp com command
    completion confirm container containers control controller controller-revision-hash controller-uid core coreos crd
    credential-only data database db8 ddress ddresses default default-deny delivery deny deployer description
    destination dev direction directory disabled dispatcher dmission dns dns-refused dropped dualstack dvertisement
    eading eature ec2 ecret edirect eer efault efaults effective efs egress eighbor eject election elector elete emplate
    enable enabled encryption end endpoint entity entity-operator enumbering env envoy eny ephemeral eplacement
    eployment eply eport equest equires erdict ersion erver ervice ervices esource esponse essage estination esult
    etadata etcd etwork eu-central-1 evice example except exclusive executor ext external-secrets false family fc00 fd00
    fe80 fields filer float flow foundation fqdn from ft-1-a1 ft-1-a1-train-0-0 gateway gen gent google gpu gpu-exporter
    gpu-operator grafana gress ground hape head-svc header headers health host hostnames hosts hoturis http icmps ide
    ilium ilter ime imestamp imit index inding ingest ingress init int internal ipv4 ipv6 irewall irtual iscovery
    isruption ist istener istio items job k8s k8s-sigs kafka keda keda-operator key kind kinds kube kube-apiserver
    kubeflow kuberay-operator kuberay-system kubernetes kueue kueue-controller-manager kueue-system label labels laim
    lass lavor lice listener local lock log low luster lusterwide manifest mark match merge mergeable mesh mesh-control
    mesh-gateway metadata method metrics-adapter min mismatch mode model models models-gateway monitoring monotone
    mozilla nalysis name named-ports names namespace ndpoint ndpoints net netpol network networking never nfd nforcement
    nformation ngress nly no-bypass node node-ports none nreachable ntities null nverse nvidia-dcgm-exporter nvoy obile
    ocal ode odes oes offboarding ohort oken ole olicies olicitation olicy ollout omains ome once one one-dns-rule
    one-list one-proxy onfig onfirmation onitor ontainers ontext ool opens operator opic org originating orizontal
    orkflow orkload orld ort orts ostname other oute outer own-lists own-names own-place parse path pattern pec pen
    plane platform plugin pod pod-template-generation pod-template-hash pods policy port portable portal ports postgres
    pplication priority private problem project projectcalico prometheus prometheus-adapter prometheus-operator promoter
    protocol quad9 query queue-controller rain raining ransparent raw ray ray-operator rbac ree refix refused region
    remote-node replace required reserved resolver resolvers resource resources rigin riority roblem roject rollouts
    rometheus ron roup roups route router roxy rror rules rune runtime s3-accelerate s3-accesspoint s3-control
    s3-external-1 s3-fips s3-models s3-website scheduling script search secret security selector selects separated ser
    serve server server-names service serviceaccount settings shared sidecars skip-file-rendering slots socket source
    spec specs statefulset status step storage storage-other str stranger-namespace strimzi strimzi-cluster-operator sts
    svc sync-options system tag target tateful template templates tenant tenants tenon tenon-system terminating
    test-always-fail tls tolerations topology train trainer tree true trusted type udget udit uery ueue uffix uid ule
    ulticast unambiguous unfiltered unknown-account unmanaged unnamed unspec untime uota uplicate us-east-1 use utf-8
    uthentication uthorization utoscaler value values volumes vpce vpce-1a2b3c4d watcher webhooks wireguard workflow
    workflow-controller workloads world world-ipv world-ipv4 world-ipv6 x-k8s x00 x1f x7f x9f xceeded xist xists
    xperiment xpressions xtended xternal yaml ypes
    """.split()  # noqa: SIM905 - a list of words is read more easily without 440 pairs of quotes
)
