package main

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/option"
)

const (
	firstIdentity = 1000 // above the reserved ones
	lastIdentity  = 65535
)

// allocate gives equal labels one identity, numbered in the range that the engine expects of their kind.
func (w *World) allocate(lbls labels.Labels, cluster string) (*identity.Identity, error) {
	if reserved := identity.LookupReservedIdentityByLabels(lbls); reserved != nil {
		return reserved, nil
	}
	key := string(lbls.SortedList())
	if known, is := w.identities[key]; is {
		return known, nil
	}
	number := firstIdentity + len(w.identities)
	if number > lastIdentity {
		return nil, fmt.Errorf("more than %d identities", lastIdentity-firstIdentity)
	}
	id := identity.ScopeForLabels(lbls) | identity.NumericIdentity(number)
	if cluster != "" && cluster != w.settings.Cluster {
		if _, is := w.clusters[cluster]; !is {
			w.clusters[cluster] = uint32(len(w.clusters) + 1)
		}
		id |= identity.NumericIdentity(w.clusters[cluster] << identity.GetClusterIDShift())
	}
	made := identity.NewIdentity(id, lbls)
	w.identities[key] = made
	w.unknown[id] = made.LabelArray
	return made, nil
}

// aggregate gives the identity that stands for all of the peer's kind, itself where it is under none.
// Source: Cilium 1.20, pkg/policy/aggregate.go; reserved identities below 100 are under none.
func aggregate(peer identity.NumericIdentity) identity.NumericIdentity {
	switch {
	case peer < 100:
		return peer
	case peer.Scope() == identity.IdentityScopeRemoteNode:
		return identity.ReservedIdentityAggregateRemoteNode
	case peer.Scope() == identity.IdentityScopeLocal:
		return identity.ReservedIdentityAggregateWorld
	case peer.ClusterID() == option.Config.ClusterID:
		return identity.ReservedIdentityAggregateCluster
	}
	return identity.ReservedIdentityAggregateClusterMesh
}

// settle makes ready for questions about these peers.
func (w *World) settle(peers ...*Peer) error {
	var host labels.LabelArray
	for _, peer := range peers {
		if peer.identity.ID != identity.ReservedIdentityHost {
			continue
		}
		if host != nil && !host.Equals(peer.identity.LabelArray) {
			return errors.New("two nodes with different labels are `host` in one question; ask about one at a time")
		}
		host = peer.identity.LabelArray
	}
	if host != nil && !host.Equals(w.host) {
		w.host, w.unknown[identity.ReservedIdentityHost] = host, host
	}
	w.introduce()
	return nil
}

// introduce tells both of the engine's caches about new identities. Policies computed before are computed again.
func (w *World) introduce() {
	if len(w.unknown) == 0 {
		return
	}
	w.forget(func(*Endpoint) bool { return true })
	var applied sync.WaitGroup
	w.repository.UpdateIdentities(maps.Clone(w.unknown), nil)
	w.repository.GetSelectorCache().UpdateIdentities(w.unknown, nil, &applied)
	applied.Wait()
	w.unknown = identity.IdentityMap{}
}
