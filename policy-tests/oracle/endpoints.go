package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	"github.com/cilium/cilium/pkg/fqdn/restore"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	ciliumtypes "github.com/cilium/cilium/pkg/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// proxyPort marks entries that go through a proxy; no proxy listens there.
const proxyPort = 1

// Endpoint is one computed policy, of all peers with the same identity and named ports.
type Endpoint struct {
	id         uint64
	identity   identity.NumericIdentity
	namedPorts ciliumtypes.NamedPortMap
	selectors  policy.SelectorPolicy
	policy     *policy.EndpointPolicy
	err        error                          // why the engine cannot compute a policy
	filtered   map[restore.PortProto]struct{} // ports whose names the DNS proxy was told; nil before it was
}

// endpoint computes the peer's policy once per world.
func (w *World) endpoint(peer *Peer) *Endpoint {
	key := fmt.Sprint(peer.identity.ID)
	for _, name := range slices.Sorted(maps.Keys(peer.namedPorts)) {
		key += fmt.Sprint(" ", name, peer.namedPorts[name])
	}
	if known, is := w.endpoints[key]; is {
		return known
	}
	w.lastID++
	made := &Endpoint{id: w.lastID, identity: peer.identity.ID, namedPorts: peer.namedPorts}
	made.selectors, _, made.err = w.repository.ComputeSelectorPolicy(peer.identity)
	if made.err == nil {
		redirects := map[string]uint16{policy.FallbackRedirectID: proxyPort}
		made.policy = made.selectors.DistillPolicy(w.engine.logger, made, redirects)
		made.err = made.policy.Ready()
	}
	w.endpoints[key] = made
	return made
}

// forget drops computed policies, and what the DNS proxy knows of them.
func (w *World) forget(isStale func(*Endpoint) bool) {
	for key, endpoint := range w.endpoints {
		if !isStale(endpoint) {
			continue
		}
		for port := range endpoint.filtered {
			// Without rules the proxy forgets, which compiles nothing that could fail.
			_, _ = w.proxy.UpdateAllowed(endpoint.id, port, nil)
		}
		if endpoint.policy != nil {
			endpoint.policy.Detach(w.engine.logger)
			endpoint.selectors.Supersede()
		}
		delete(w.endpoints, key)
	}
}

// The engine asks the owner of a policy these.

func (e *Endpoint) GetID() uint64              { return e.id }
func (e *Endpoint) PolicyDebug(string, ...any) {}
func (e *Endpoint) IsHost() bool               { return false }

func (e *Endpoint) GetIngressNamedPort(name string, protocol u8proto.U8proto) uint16 {
	port, err := e.namedPorts.GetNamedPort(name, protocol)
	if err != nil {
		return 0
	}
	return port
}

func (e *Endpoint) PreviousMapStateSizes() policy.MapStateSizes { return policy.MapStateSizes{} }

func (e *Endpoint) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	done := make(chan bool)
	close(done)
	return done
}

// certificates stands for the secrets that TLS blocks name: each is there.
type certificates struct{}

func (*certificates) GetTLSContext(
	context.Context, *api.TLSContext, string,
) (ca, public, private string, inlined bool, err error) {
	return "ca", "public", "private", true, nil
}
