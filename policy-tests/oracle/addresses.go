package main

// Labels of addresses outside: they depend on the policies, which say what ranges and names there are to know.

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"

	"github.com/cilium/cilium/pkg/fqdn/dns"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
)

// group is a CiliumCIDRGroup.
type group struct {
	ranges []netip.Prefix
	labels labels.Labels
}

func (g group) contains(address netip.Addr) bool {
	for _, prefix := range g.ranges {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// gather reads the world's groups.
func (w *World) gather() {
	for name, line := range w.line.Groups {
		w.groups = append(w.groups, group{line.CIDRs, groupLabels(name, line.Labels)})
	}
}

// learn collects what gives addresses outside their labels; where that changed, they get new identities.
func (w *World) learn() error {
	var entries types.PolicyEntries
	for _, object := range w.objects {
		entries = append(entries, object.entries...)
	}
	ranges := policy.GetCIDRPrefixes(entries)
	slices.SortFunc(ranges, netip.Prefix.Compare)
	names, err := namePatterns(entries)
	if err != nil {
		return err
	}
	isSame := func(a, b *regexp.Regexp) bool { return a.String() == b.String() }
	if slices.Equal(w.ranges, ranges) && maps.EqualFunc(w.names, names, isSame) {
		return nil
	}
	w.ranges, w.names = ranges, names
	return w.meetAgain()
}

func namePatterns(entries types.PolicyEntries) (map[labels.Label]*regexp.Regexp, error) {
	found := map[labels.Label]*regexp.Regexp{}
	for _, entry := range entries {
		for _, selector := range entry.L3 {
			wanted, is := selector.GetFQDNSelector()
			if !is || found[wanted.IdentityLabel()] != nil {
				continue
			}
			pattern, err := wanted.ToRegex()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", wanted, err)
			}
			found[wanted.IdentityLabel()] = pattern
		}
	}
	return found, nil
}

func groupLabels(name string, given map[string]string) labels.Labels {
	found := labels.Labels{}
	for key, value := range given {
		for _, label := range []labels.Label{
			labels.NewLabel(key, value, labels.LabelSourceCIDRGroup),
			labels.EncodedCIDRGroupLabel(key, value, labels.LabelSourceCIDRGroup),
		} {
			found[label.Key] = label
		}
	}
	label := api.LabelForCIDRGroupRef(name)
	found[label.Key] = label
	return found
}

// meetAgain gives known addresses the labels that the policies give them now.
func (w *World) meetAgain() error {
	clear(w.inPlace)
	for name, peer := range w.named {
		if !peer.isOutside {
			continue
		}
		again, err := w.describe(w.line.Peers[name])
		if err != nil {
			return fmt.Errorf("peer %q: %w", name, err)
		}
		w.named[name] = again
	}
	return nil
}

// outside gives the labels of an address: those of the longest policy range around it (shorter ones match by
// containment), of every name selector that a name learned for it matches, of the groups that it lies in.
func (w *World) outside(described Description) (labels.Labels, error) {
	lbls, learned := labels.Labels{}, described.Names
	address := netip.IPv4Unspecified() // of names alone: some address, which lies in no range but the whole
	if described.IP != "" {
		parsed, err := netip.ParseAddr(described.IP)
		if err != nil {
			return nil, err
		}
		address = parsed.Unmap()
		lbls = w.rangeLabels(address)
		learned = append(append([]string{}, learned...), w.line.DNS[described.IP]...)
	}
	for label, pattern := range w.names {
		for _, name := range learned {
			if pattern.MatchString(dns.FQDN(name)) {
				lbls[label.Key] = label
			}
		}
	}
	if described.KubeAPI {
		lbls.MergeLabels(labels.LabelKubeAPIServer)
	}
	lbls.AddWorldLabel(address)
	return lbls, nil
}

func (w *World) rangeLabels(address netip.Addr) labels.Labels {
	found, longest := labels.Labels{}, netip.Prefix{}
	for _, prefix := range w.ranges {
		if prefix.Contains(address) && (!longest.IsValid() || prefix.Bits() > longest.Bits()) {
			longest = prefix
		}
	}
	if longest.IsValid() {
		found = labels.GetCIDRLabels(longest)
	}
	for _, group := range w.groups {
		if group.contains(address) {
			found.MergeLabels(group.labels)
		}
	}
	return found
}
