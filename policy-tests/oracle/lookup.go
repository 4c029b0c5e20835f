package main

import (
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// lookup is the engine's own function for a whole flow, which computes both policies anew each time. A flow line with
// `lookup: true` gets its verdicts beside the others, so that the use made here of the engine's parts can be checked.
// Sides of peers that are no endpoints are left out, as the datapath leaves them out.
type lookup struct {
	Egress  string `json:"egress,omitempty"`
	Ingress string `json:"ingress,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (w *World) lookup(asked question) *lookup {
	flow := types.Flow{
		From:          asked.from.identity,
		To:            asked.to.identity,
		Proto:         asked.protocol,
		Dport:         asked.port,
		NamedPortsTCP: asked.to.numbered(u8proto.TCP),
		NamedPortsUDP: asked.to.numbered(u8proto.UDP),
	}
	verdict, _, _, err := policy.LookupFlow(w.engine.logger, w.repository, w.manager, flow)
	if err != nil {
		return &lookup{Error: err.Error()}
	}
	found := &lookup{}
	if asked.from.isEndpoint {
		found.Egress = decided(verdict.Egress)
	}
	if asked.to.isEndpoint {
		found.Ingress = decided(verdict.Ingress)
	}
	return found
}

func decided(decision types.Decision) string {
	if decision == types.DecisionDenied {
		return deny
	}
	return allow
}

func (p *Peer) numbered(protocol u8proto.U8proto) map[string]uint16 {
	found := map[string]uint16{}
	for name, port := range p.namedPorts {
		if port.Proto == protocol {
			found[name] = port.Port
		}
	}
	return found
}
