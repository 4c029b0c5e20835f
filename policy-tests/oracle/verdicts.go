package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cilium/cilium/pkg/identity"
	ciliumio "github.com/cilium/cilium/pkg/k8s/apis/cilium.io"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/u8proto"
)

const (
	allow  = "allow"
	deny   = "deny"
	failed = "error"

	egress  = "egress"
	ingress = "ingress"
	both    = "both"
)

// flowLine is a question about the current world.
type flowLine struct {
	ID        json.RawMessage `json:"id"`
	From      json.RawMessage `json:"from"`
	To        json.RawMessage `json:"to"`
	Port      int             `json:"port"`
	Protocol  string          `json:"protocol"`
	Direction string          `json:"direction"`
	Query     *string         `json:"query"`
	Lookup    bool            `json:"lookup"`
}

// flowAnswer is the answer; a side that was not asked is absent.
type flowAnswer struct {
	ID            json.RawMessage `json:"id,omitempty"`
	Verdict       string          `json:"verdict"`
	Egress        *side           `json:"egress,omitempty"`
	Ingress       *side           `json:"ingress,omitempty"`
	DNS           string          `json:"dns,omitempty"`
	ParseError    string          `json:"parse_error,omitempty"`
	SanitizeError string          `json:"sanitize_error,omitempty"`
	Error         string          `json:"error,omitempty"`
	Lookup        *lookup         `json:"lookup,omitempty"`
}

// side is one endpoint's answer in one direction. matched: the objects behind the winning entry, none on default deny.
type side struct {
	Verdict  string    `json:"verdict"`
	Enforced bool      `json:"enforced"`
	Matched  []string  `json:"matched,omitempty"`
	Redirect bool      `json:"redirect,omitempty"`
	L7       []l7Rules `json:"l7,omitempty"`
}

// l7Rules is what a proxy gets of one port filter for one selector; the engine lists it and does not decide it.
type l7Rules struct {
	Parser      string            `json:"parser"`
	DNS         api.PortRulesDNS  `json:"dns,omitempty"`
	HTTP        api.PortRulesHTTP `json:"http,omitempty"`
	ServerNames []string          `json:"server_names,omitempty"`
}

// question is a flow, read.
type question struct {
	from, to *Peer
	port     uint16
	protocol u8proto.U8proto
}

// answer decides both sides: each endpoint's own policy, in its direction, about the other's identity.
func (w *World) answer(text []byte) flowAnswer {
	var flow flowLine
	if err := json.Unmarshal(text, &flow); err != nil {
		return flowAnswer{Verdict: failed, Error: err.Error()}
	}
	answer := flowAnswer{ID: flow.ID, Verdict: allow}
	asked, err := w.question(&flow)
	if err != nil {
		answer.Verdict, answer.Error = failed, err.Error()
		return answer
	}
	if flow.Direction != ingress {
		answer.Egress = answer.decided(w, asked.from, policy.EgressKey(), asked.to, asked)
	}
	if flow.Direction != egress {
		answer.Ingress = answer.decided(w, asked.to, policy.IngressKey(), asked.from, asked)
	}
	if flow.Lookup {
		answer.Lookup = w.lookup(asked)
	}
	if flow.Query != nil && answer.Egress != nil && answer.Error == "" {
		answer.DNS, err = w.query(asked, answer.Egress, *flow.Query)
		if err != nil {
			answer.Verdict, answer.Error = failed, err.Error()
		}
	}
	return answer
}

func (w *World) question(flow *flowLine) (question, error) {
	var asked question
	var err error
	if flow.Direction == "" {
		flow.Direction = both
	}
	if !slices.Contains([]string{both, egress, ingress}, flow.Direction) {
		return asked, fmt.Errorf("direction %q is none of both, egress, ingress", flow.Direction)
	}
	if flow.Query != nil && flow.Direction == ingress {
		return asked, fmt.Errorf("the DNS proxy is on the egress side; direction is %q", flow.Direction)
	}
	if asked.port, asked.protocol, err = portOf(flow.Port, first(flow.Protocol, "TCP")); err != nil {
		return asked, err
	}
	if asked.from, err = w.peer(flow.From); err != nil {
		return asked, fmt.Errorf("from: %w", err)
	}
	if asked.to, err = w.peer(flow.To); err != nil {
		return asked, fmt.Errorf("to: %w", err)
	}
	return asked, w.settle(asked.from, asked.to)
}

// decided gives one side and lowers the answer's verdict by it.
func (a *flowAnswer) decided(w *World, of *Peer, key policy.Key, other *Peer, asked question) *side {
	if !of.isEndpoint {
		return &side{Verdict: allow}
	}
	endpoint := w.endpoint(of)
	if endpoint.err != nil {
		a.Verdict, a.Error = failed, first(a.Error, endpoint.err.Error())
		return &side{Verdict: failed, Enforced: true}
	}
	found := endpoint.side(key.WithIdentity(other.identity.ID).WithPortProto(asked.protocol, asked.port))
	if found.Verdict == deny && a.Verdict == allow {
		a.Verdict = deny
	}
	return found
}

func (e *Endpoint) side(key policy.Key) *side {
	enforced := e.policy.SelectorPolicy.EgressPolicyEnabled
	if isIngress(key) {
		enforced = e.policy.SelectorPolicy.IngressPolicyEnabled
	}
	entry, rule, _ := e.policy.Lookup(key)
	found := &side{Verdict: allow, Enforced: enforced, Matched: objects(rule)}
	if entry.IsDeny() {
		found.Verdict = deny
		return found
	}
	if found.Redirect = entry.IsRedirectEntry(); found.Redirect {
		found.L7 = e.proxied(e.direction(key), key)
	}
	return found
}

func isIngress(key policy.Key) bool {
	return key.TrafficDirection() == policy.IngressKey().TrafficDirection()
}

func (e *Endpoint) direction(key policy.Key) *policy.L4DirectionPolicy {
	if isIngress(key) {
		return &e.policy.SelectorPolicy.L4Policy.Ingress
	}
	return &e.policy.SelectorPolicy.L4Policy.Egress
}

// objects names the policies behind an entry; rules that the engine adds by itself have none.
func objects(rule policy.RuleMeta) []string {
	var found []string
	for _, array := range rule.LabelArray() {
		get := func(key string) string { return array.Get(labels.LabelSourceK8sKeyPrefix + key) }
		if kind := get(ciliumio.PolicyLabelDerivedFrom); kind != "" {
			found = append(found, reference(kind, get(ciliumio.PolicyLabelNamespace), get(ciliumio.PolicyLabelName)))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// proxied lists the rules of every filter that covers the port and selects the peer, of the kind of proxy that wins:
// HTTP before TLS before DNS.
func (e *Endpoint) proxied(direction *policy.L4DirectionPolicy, key policy.Key) []l7Rules {
	var found []l7Rules
	best := policy.ListenerPriority(math.MaxUint8)
	for filter := range direction.Filters() {
		if !e.covers(filter, key) {
			continue
		}
		for selector, rules := range filter.PerSelectorPolicies {
			if rules == nil || !rules.IsRedirect() || !isSelected(selector, key.Identity) {
				continue
			}
			priority := rules.GetListenerPriority()
			if priority < best {
				best, found = priority, nil
			}
			if priority == best {
				found = append(found, l7Rules{string(rules.L7Parser), rules.DNS, rules.HTTP, sortedNames(rules.ServerNames)})
			}
		}
	}
	slices.SortFunc(found, func(a, b l7Rules) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return found
}

// isSelected: a lookup finds an entry of the peer, or one of the aggregate identity that stands for all of its kind,
// which a selector of absent labels selects too.
func isSelected(selector policy.CachedSelector, peer identity.NumericIdentity) bool {
	return selector.IsWildcard() || selector.Selects(peer) || selector.Selects(aggregate(peer))
}

func (e *Endpoint) covers(filter *policy.L4Filter, key policy.Key) bool {
	if filter.U8Proto != key.Nexthdr {
		return false
	}
	if filter.PortName != "" {
		return slices.Contains(e.numbers(filter, key.Identity), key.DestPort)
	}
	last := max(filter.Port, filter.EndPort)
	return filter.Port == 0 || (filter.Port <= key.DestPort && key.DestPort <= last)
}

// numbers resolves a filter's named port: on ingress by the endpoint itself, on egress by the destination.
func (e *Endpoint) numbers(filter *policy.L4Filter, destinations ...identity.NumericIdentity) []uint16 {
	var found []uint16
	if filter.Ingress {
		if number := e.GetIngressNamedPort(filter.PortName, filter.U8Proto); number != 0 {
			found = append(found, number)
		}
		return found
	}
	for _, number := range e.selectors.GetEgressNamedPorts(filter.PortName, filter.U8Proto, slices.Values(destinations)) {
		found = append(found, number)
	}
	return found
}

func sortedNames(names policy.StringSet) []string {
	var sorted []string
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}
