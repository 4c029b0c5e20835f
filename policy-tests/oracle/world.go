package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"regexp"
	"runtime/debug"
	"slices"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	envoypolicy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/fqdn/dnsproxy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	"github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2/validator"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	ciliumtypes "github.com/cilium/cilium/pkg/types"
)

const module = "github.com/cilium/cilium"

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
	manager    identitymanager.IDManager
	proxy      *dnsproxy.DNSProxy
	reports    []ObjectReport
	objects    map[ipcachetypes.ResourceID]Object // in force, by kind, namespace and name

	ranges []netip.Prefix
	names  map[labels.Label]*regexp.Regexp // of toFQDNs; addresses learned for a match carry the label
	groups []group
	host   labels.LabelArray // of the one node whose policies are computed; its number is fixed, its labels are not

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

// world loads a world: settings first, for parsing depends on them; objects, for the labels of addresses depend on
// them; peers; and the repository last, which then sees every identity at once.
func (e *Engine) world(text []byte) (*World, error) {
	w := &World{
		engine:     e,
		settings:   defaults(),
		proxy:      dnsproxy.NewDNSProxy(dnsproxy.DNSProxyConfig{Logger: e.logger}, nil, nil),
		objects:    map[ipcachetypes.ResourceID]Object{},
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
	w.read()
	w.gather()
	if err := w.learn(); err != nil {
		return nil, err
	}
	if err := w.meet(); err != nil {
		return nil, err
	}
	w.found()
	return w, nil
}

func (w *World) reader() Reader {
	return Reader{w.engine.logger, w.engine.validator, w.settings.policyCluster()}
}

// read keeps the objects in force: of those with one kind, namespace and name, the last.
func (w *World) read() {
	reader := w.reader()
	for _, text := range w.line.Policies {
		object := reader.read(text)
		w.reports = append(w.reports, object.report)
		if object.resource != "" {
			w.objects[object.resource] = object
		}
	}
}

// meet makes the world's peers.
func (w *World) meet() error {
	for _, name := range slices.Sorted(maps.Keys(w.line.Peers)) {
		peer, err := w.describe(w.line.Peers[name])
		if err != nil {
			return fmt.Errorf("peer %q: %w", name, err)
		}
		w.named[name] = peer
	}
	return nil
}

// found makes the repository.
func (w *World) found() {
	logger := w.engine.logger
	secrets := certificatemanager.NewMockSecretManagerInline()
	reserved := identity.ListReservedIdentities()
	w.host = reserved[identity.ReservedIdentityHost]
	w.manager = identitymanager.NewIDManager(logger)
	w.repository = policy.NewPolicyRepository(
		logger,
		reserved,
		&certificates{},
		envoypolicy.NewEnvoyL7RulesTranslator(logger, secrets),
		w.manager,
		nil,
	)
	w.repository.SetNamedPortsGetter(w)
	w.repository.UpdateIdentities(reserved, nil)
	w.introduce()
	for resource, object := range w.objects {
		if len(object.entries) > 0 {
			w.repository.ReplaceByResource(object.entries, resource)
		}
	}
}

// GetNamedPorts gives the engine the named ports of all peers.
func (w *World) GetNamedPorts() ciliumtypes.NamedPortMultiMap {
	return w.namedPorts
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
