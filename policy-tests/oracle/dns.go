package main

import (
	"net/netip"
	"slices"

	"github.com/cilium/cilium/pkg/fqdn/restore"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
)

// What becomes of a query.
const (
	dropped    = "dropped"    // the packet does not reach the server
	unfiltered = "unfiltered" // no name filter is on this path
	answered   = "answered"
	refused    = "refused"
)

// query asks the DNS proxy's own code, when the path to the server leads through it.
func (w *World) query(asked question, egress *side, name string) (string, error) {
	if egress.Verdict != allow {
		return dropped, nil
	}
	isFilter := func(rules l7Rules) bool { return rules.Parser == string(policy.ParserTypeDNS) }
	if !egress.Redirect || !slices.ContainsFunc(egress.L7, isFilter) {
		return unfiltered, nil
	}
	endpoint := w.endpoint(asked.from)
	if err := w.tell(endpoint); err != nil {
		return "", err
	}
	port := restore.MakeV2PortProto(asked.port, asked.protocol)
	passes, err := w.proxy.CheckAllowed(endpoint.id, port, asked.to.identity.ID, netip.Addr{}, name)
	if err != nil {
		return "", err
	}
	if passes {
		return answered, nil
	}
	return refused, nil
}

// tell gives the proxy an endpoint's name filters, once: for each port the first filter that redirects to it, with
// all of its selectors, those without rules included.
func (w *World) tell(endpoint *Endpoint) error {
	if endpoint.filtered != nil {
		return nil
	}
	endpoint.filtered = map[restore.PortProto]struct{}{}
	for filter, redirect := range endpoint.selectors.RedirectFilters() {
		if filter.Ingress || redirect.Policy.L7Parser != policy.ParserTypeDNS {
			continue
		}
		for _, number := range endpoint.filteredPorts(filter) {
			port := restore.MakeV2PortProto(number, filter.U8Proto)
			if _, told := endpoint.filtered[port]; told {
				continue
			}
			endpoint.filtered[port] = struct{}{}
			if _, err := w.proxy.UpdateAllowed(endpoint.id, port, filter.PerSelectorPolicies); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Endpoint) filteredPorts(filter *policy.L4Filter) []uint16 {
	if filter.PortName == "" {
		return []uint16{filter.Port}
	}
	snapshot := e.selectors.GetSelectorSnapshot()
	defer snapshot.Invalidate()
	var destinations []identity.NumericIdentity
	for destination := range filter.Identities(snapshot) {
		destinations = append(destinations, destination)
	}
	return e.numbers(filter, destinations...)
}
