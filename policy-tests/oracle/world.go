package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"runtime/debug"
	"sync"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	envoypolicy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/fqdn/dns"
	"github.com/cilium/cilium/pkg/fqdn/dnsproxy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	"github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2/validator"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	ciliumtypes "github.com/cilium/cilium/pkg/types"
)

const (
	module        = "github.com/cilium/cilium"
	firstIdentity = 1000 // above the reserved ones
	lastIdentity  = 65535
)

// Engine holds what all worlds share.
type Engine struct {
	logger    *slog.Logger
	validator *validator.NPValidator
	version   string
}

func newEngine() (*Engine, error) {
	logger := slog.New(slog.DiscardHandler)
	schemas, err := validator.NewNPValidator(logger)
	if err != nil {
		return nil, err
	}
	engine := &Engine{logger: logger, validator: schemas, version: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				engine.version = dependency.Version
			}
		}
	}
	return engine, nil
}

// worldLine is a line of type `world`, or the world of a line that is both.
type worldLine struct {
	Config     json.RawMessage              `json:"config"`
	Namespaces map[string]map[string]string `json:"namespaces"`
	Groups     map[string]groupLine         `json:"cidr_groups"`
	DNS        map[string][]string          `json:"dns"`
	Policies   []json.RawMessage            `json:"policies"`
	Peers      map[string]json.RawMessage   `json:"peers"`
}

type groupLine struct {
	CIDRs  []netip.Prefix    `json:"cidrs"`
	Labels map[string]string `json:"labels"`
}

// World is one line's policies in an engine of their own.
type World struct {
	engine     *Engine
	line       worldLine
	settings   Settings
	repository *policy.Repository
	proxy      *dnsproxy.DNSProxy
	reports    []ObjectReport

	ranges     []netip.Prefix
	names      []nameSelector
	groups     []group
	hostLabels labels.Labels

	named, inPlace map[string]*Peer
	identities     map[string]*identity.Identity
	clusters       map[string]uint32
	namedPorts     interface {
		ciliumtypes.NamedPortMultiMap
		Update(nid identity.NumericIdentity, old, current ciliumtypes.NamedPortMap) bool
	}
	unknown   identity.IdentityMap // allocated, and not yet told to the repository
	endpoints map[string]*Endpoint
	lastID    uint64
}

// nameSelector is an entry of toFQDNs: addresses learned for a matching name carry its label.
type nameSelector struct {
	label   labels.Label
	pattern *regexp.Regexp
}

func (s nameSelector) matches(name string) bool {
	return s.pattern.MatchString(dns.FQDN(name))
}

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

// world loads a world: settings first, for parsing depends on them; objects, for the labels of addresses depend on
// them; peers; and the repository last, which then sees every identity at once.
func (e *Engine) world(text []byte) (*World, error) {
	w := &World{
		engine:     e,
		settings:   defaults(),
		proxy:      dnsproxy.NewDNSProxy(dnsproxy.DNSProxyConfig{Logger: e.logger}, nil, nil),
		named:      map[string]*Peer{},
		inPlace:    map[string]*Peer{},
		identities: map[string]*identity.Identity{},
		clusters:   map[string]uint32{},
		namedPorts: ciliumtypes.NewNamedPortMultiMap(),
		unknown:    identity.IdentityMap{},
		endpoints:  map[string]*Endpoint{},
	}
	if err := json.Unmarshal(text, &w.line); err != nil {
		return nil, err
	}
	if len(w.line.Config) > 0 {
		if err := json.Unmarshal(w.line.Config, &w.settings); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	if err := w.settings.apply(e.logger); err != nil {
		return nil, err
	}
	objects := w.read()
	if err := w.learn(objects); err != nil {
		return nil, err
	}
	if err := w.meet(); err != nil {
		return nil, err
	}
	w.found(objects)
	return w, nil
}

// read gives the objects in force: of those with one kind, namespace and name, the last.
func (w *World) read() []Object {
	reader := Reader{w.engine.logger, w.engine.validator, w.settings.policyCluster()}
	var objects []Object
	places := map[string]int{}
	for _, text := range w.line.Policies {
		object := reader.read(text)
		w.reports = append(w.reports, object.report)
		place, again := places[string(object.resource)]
		if again {
			objects[place] = object
			continue
		}
		places[string(object.resource)] = len(objects)
		objects = append(objects, object)
	}
	return objects
}

// learn collects what gives addresses outside their labels.
func (w *World) learn(objects []Object) error {
	var entries types.PolicyEntries
	for _, object := range objects {
		entries = append(entries, object.entries...)
	}
	w.ranges = policy.GetCIDRPrefixes(entries)
	seen := map[labels.Label]bool{}
	for _, entry := range entries {
		for _, selector := range entry.L3 {
			wanted, is := selector.GetFQDNSelector()
			if !is || seen[wanted.IdentityLabel()] {
				continue
			}
			seen[wanted.IdentityLabel()] = true
			pattern, err := wanted.ToRegex()
			if err != nil {
				return fmt.Errorf("%s: %w", wanted, err)
			}
			w.names = append(w.names, nameSelector{wanted.IdentityLabel(), pattern})
		}
	}
	for name, line := range w.line.Groups {
		w.groups = append(w.groups, group{line.CIDRs, groupLabels(name, line.Labels)})
	}
	return nil
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

// meet makes the world's peers.
func (w *World) meet() error {
	for _, text := range w.line.Peers {
		var host Description
		if json.Unmarshal(text, &host) == nil && host.Entity == labels.IDNameHost && host.NodeLabels != nil {
			w.hostLabels = w.settings.nodeLabels(host.NodeLabels)
		}
	}
	for name, text := range w.line.Peers {
		peer, err := w.describe(text)
		if err != nil {
			return fmt.Errorf("peer %q: %w", name, err)
		}
		w.named[name] = peer
	}
	return nil
}

// found makes the repository.
func (w *World) found(objects []Object) {
	logger := w.engine.logger
	secrets := certificatemanager.NewMockSecretManagerInline()
	reserved := identity.ListReservedIdentities()
	if len(w.hostLabels) > 0 {
		host := labels.Labels{}
		host.MergeLabels(labels.LabelHost)
		host.MergeLabels(w.hostLabels)
		reserved[identity.ReservedIdentityHost] = host.LabelArray()
	}
	w.repository = policy.NewPolicyRepository(
		logger,
		reserved,
		&certificates{},
		envoypolicy.NewEnvoyL7RulesTranslator(logger, secrets),
		identitymanager.NewIDManager(logger),
		nil,
	)
	w.repository.SetNamedPortsGetter(w)
	w.repository.UpdateIdentities(reserved, nil)
	w.introduce()
	for _, object := range objects {
		if len(object.entries) > 0 {
			w.repository.ReplaceByResource(object.entries, object.resource)
		}
	}
}

// GetNamedPorts gives the engine the named ports of all peers.
func (w *World) GetNamedPorts() ciliumtypes.NamedPortMultiMap {
	return w.namedPorts
}

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

// introduce tells both of the engine's caches about new identities. Policies computed before are computed again.
func (w *World) introduce() {
	if len(w.unknown) == 0 {
		return
	}
	w.forget()
	var applied sync.WaitGroup
	w.repository.UpdateIdentities(w.unknown, nil)
	w.repository.GetSelectorCache().UpdateIdentities(w.unknown, nil, &applied)
	applied.Wait()
	w.unknown = identity.IdentityMap{}
}

// worldReport is the answer to a world line.
type worldReport struct {
	Type       string          `json:"type"`
	ID         json.RawMessage `json:"id,omitempty"`
	Engine     string          `json:"engine"`
	Policies   []ObjectReport  `json:"policies"`
	Identities int             `json:"identities"`
}

func (w *World) report(id json.RawMessage) worldReport {
	reports := w.reports
	if reports == nil {
		reports = []ObjectReport{}
	}
	return worldReport{"world", id, w.engine.version, reports, len(w.identities)}
}
