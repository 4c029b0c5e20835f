package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	"github.com/cilium/cilium/pkg/k8s"
	v2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2/validator"
	slimnetworking "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	policyutils "github.com/cilium/cilium/pkg/policy/utils"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "sigs.k8s.io/json"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Object is one policy object as the engine took it; without entries it enforces nothing.
type Object struct {
	resource ipcachetypes.ResourceID
	entries  types.PolicyEntries
	report   ObjectReport
}

// ObjectReport tells what became of one object. An object that only the schema refuses would still be enforced by an
// agent that gets it.
type ObjectReport struct {
	Ref           string   `json:"ref"`
	Accepted      bool     `json:"accepted"`
	Entries       int      `json:"entries"`
	SchemaError   string   `json:"schema_error,omitempty"`
	ParseError    string   `json:"parse_error,omitempty"`
	SanitizeError string   `json:"sanitize_error,omitempty"`
	Warnings      []string `json:"warnings,omitempty"`
}

// Reader reads policy objects as the agent's watchers do.
type Reader struct {
	logger    *slog.Logger
	validator *validator.NPValidator
	cluster   string
}

// read never fails: what is refused is told in the report, as is what makes the engine panic.
func (r Reader) read(text json.RawMessage) (object Object) {
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := decode(text, &head); err != nil {
		return Object{report: ObjectReport{ParseError: err.Error()}}
	}
	object = Object{report: ObjectReport{Ref: reference(head.Kind, head.Namespace, head.Name)}}
	defer func() {
		if fault := recover(); fault != nil {
			object.entries = nil
			object.report.Accepted, object.report.Entries = false, 0
			object.report.ParseError = fmt.Sprintf("panic: %v", fault)
		}
	}()
	kind, read := r.kind(head.Kind)
	if read == nil {
		object.report.ParseError = fmt.Sprintf("%s is no kind of policy", head.Kind)
		return object
	}
	object.resource = ipcachetypes.NewResourceID(kind, head.Namespace, head.Name)
	object.report.SchemaError = r.schemaError(head.Kind, text)
	read(text, &object)
	object.report.Accepted = object.report.ParseError == "" && object.report.SanitizeError == ""
	object.report.Entries = len(object.entries)
	return object
}

func (r Reader) kind(name string) (ipcachetypes.ResourceKind, func(json.RawMessage, *Object)) {
	switch name {
	case "CiliumNetworkPolicy":
		return ipcachetypes.ResourceKindCNP, r.namespaced
	case "CiliumClusterwideNetworkPolicy":
		return ipcachetypes.ResourceKindCCNP, r.clusterwide
	case "NetworkPolicy":
		return ipcachetypes.ResourceKindNetpol, r.native
	case "ClusterNetworkPolicy":
		return ipcachetypes.ResourceKindKCNP, r.clusterNative
	}
	return "", nil
}

// The copies matter: the engine appends to slices of what it parsed, and a decoder leaves room at their ends, so that
// without a copy two objects would write over each other's names.

func (r Reader) namespaced(text json.RawMessage, object *Object) {
	var parsed v2.CiliumNetworkPolicy
	if object.decoded(text, &parsed) {
		rules, err := parsed.DeepCopy().Parse(r.logger, r.cluster)
		object.take(rules, err)
	}
}

func (r Reader) clusterwide(text json.RawMessage, object *Object) {
	var parsed v2.CiliumClusterwideNetworkPolicy
	if object.decoded(text, &parsed) {
		rules, err := parsed.DeepCopy().Parse(r.logger, r.cluster)
		object.take(rules, err)
	}
}

func (r Reader) native(text json.RawMessage, object *Object) {
	var parsed slimnetworking.NetworkPolicy
	if object.decoded(text, &parsed) {
		entries, err := k8s.ParseNetworkPolicy(r.logger, r.cluster, parsed.DeepCopy())
		object.keep(entries, err)
	}
}

func (r Reader) clusterNative(text json.RawMessage, object *Object) {
	var parsed v1alpha2.ClusterNetworkPolicy
	if object.decoded(text, &parsed) {
		entries, err := k8s.ParseClusterNetworkPolicy(r.logger, r.cluster, parsed.DeepCopy())
		object.keep(entries, err)
	}
}

func (o *Object) decoded(text json.RawMessage, into any) bool {
	if err := decode(text, into); err != nil {
		o.report.ParseError = err.Error()
		return false
	}
	return true
}

func (o *Object) take(rules api.Rules, err error) {
	if err == nil {
		o.report.Warnings = warnings(rules)
		o.keep(policyutils.RulesToPolicyEntries(rules), nil)
		return
	}
	o.keep(nil, err)
}

func (o *Object) keep(entries types.PolicyEntries, err error) {
	if err != nil {
		o.report.SanitizeError = err.Error()
		return
	}
	o.entries = entries
}

// warnings name the parts that watchers of other objects would fill in; here they have no peer.
func warnings(rules api.Rules) []string {
	var found []string
	for _, rule := range rules {
		for index, egress := range rule.Egress {
			if egress.ToServices != nil {
				found = append(found, fmt.Sprintf("egress[%d].toServices is not resolved", index))
			}
			if egress.ToGroups != nil {
				found = append(found, fmt.Sprintf("egress[%d].toGroups is not resolved", index))
			}
		}
		for index, ingress := range rule.Ingress {
			if ingress.FromGroups != nil {
				found = append(found, fmt.Sprintf("ingress[%d].fromGroups is not resolved", index))
			}
		}
	}
	return found
}

// schemaError is the API server's answer by the CRD's OpenAPI schema, CEL rules left out.
func (r Reader) schemaError(kind string, text json.RawMessage) string {
	validate := map[string]func(*unstructured.Unstructured) error{
		"CiliumNetworkPolicy":            r.validator.ValidateCNP,
		"CiliumClusterwideNetworkPolicy": r.validator.ValidateCCNP,
	}[kind]
	if validate == nil {
		return ""
	}
	object := &unstructured.Unstructured{}
	if err := decode(text, &object.Object); err != nil {
		return err.Error()
	}
	if err := validate(object); err != nil {
		return err.Error()
	}
	return ""
}

// decode reads as Kubernetes does: names of fields are case-sensitive, unknown ones ignored.
func decode(text []byte, into any) error {
	return kubejson.UnmarshalCaseSensitivePreserveInts(text, into)
}

func reference(parts ...string) string {
	var named []string
	for _, part := range parts {
		if part != "" {
			named = append(named, part)
		}
	}
	return strings.Join(named, "/")
}
