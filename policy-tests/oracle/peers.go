package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/k8s"
	k8sutils "github.com/cilium/cilium/pkg/k8s/utils"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/labelsfilter"
	ciliumtypes "github.com/cilium/cilium/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Description is a peer as the line gives it.
type Description struct {
	Namespace      *string           `json:"namespace"`
	ServiceAccount *string           `json:"service_account"`
	Labels         map[string]string `json:"labels"`
	Cluster        string            `json:"cluster"`
	NamedPorts     []struct {
		Name     string `json:"name"`
		Port     int    `json:"port"`
		Protocol string `json:"protocol"`
	} `json:"named_ports"`
	IP         string            `json:"ip"`
	Names      []string          `json:"names"`
	KubeAPI    bool              `json:"kube_apiserver"`
	Entity     string            `json:"entity"`
	NodeLabels map[string]string `json:"node_labels"`
	Raw        []string          `json:"raw"`
	IsEndpoint *bool             `json:"endpoint"`
}

// Peer is one side of a flow; policies apply only to endpoints.
type Peer struct {
	identity   *identity.Identity
	namedPorts ciliumtypes.NamedPortMap
	isEndpoint bool
	isOutside  bool // an address, whose labels depend on the policies
}

// endpointEntities are the entities that have a policy of their own; the host has one with the host firewall.
var endpointEntities = map[string]bool{labels.IDNameHealth: true, labels.IDNameInit: true, labels.IDNameIngress: true}

var entities = map[string][]string{
	labels.IDNameHost:          {labels.IDNameHost},
	labels.IDNameRemoteNode:    {labels.IDNameRemoteNode},
	labels.IDNameKubeAPIServer: {labels.IDNameKubeAPIServer, labels.IDNameRemoteNode},
	labels.IDNameHealth:        {labels.IDNameHealth},
	labels.IDNameInit:          {labels.IDNameInit},
	labels.IDNameIngress:       {labels.IDNameIngress},
	labels.IDNameUnmanaged:     {labels.IDNameUnmanaged},
	labels.IDNameWorld:         {labels.IDNameWorld},
}

// peer reads a peer of a flow: the name of one of the world's, or a description in place.
func (w *World) peer(text json.RawMessage) (*Peer, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("a flow needs `from` and `to`")
	}
	if text[0] == '"' {
		var name string
		if err := json.Unmarshal(text, &name); err != nil {
			return nil, err
		}
		if peer, known := w.named[name]; known {
			return peer, nil
		}
		return nil, fmt.Errorf("peer %q is not in the world", name)
	}
	if peer, known := w.inPlace[string(text)]; known {
		return peer, nil
	}
	peer, err := w.describe(text)
	if err == nil {
		w.inPlace[string(text)] = peer
	}
	return peer, err
}

func (w *World) describe(text json.RawMessage) (*Peer, error) {
	var described Description
	if err := json.Unmarshal(text, &described); err != nil {
		return nil, err
	}
	peer, lbls, err := w.labelled(described)
	if err != nil {
		return nil, err
	}
	if described.IsEndpoint != nil {
		peer.isEndpoint = *described.IsEndpoint
	}
	if peer.identity, err = w.allocate(lbls, described.Cluster); err != nil {
		return nil, err
	}
	w.namedPorts.Update(peer.identity.ID, nil, peer.namedPorts)
	return peer, nil
}

func (w *World) labelled(described Description) (*Peer, labels.Labels, error) {
	switch {
	case described.Raw != nil:
		return &Peer{isEndpoint: true}, labels.NewLabelsFromModel(described.Raw), nil
	case described.Entity != "":
		return w.entity(described)
	case described.Namespace != nil:
		return w.pod(described)
	case described.IP != "" || described.Names != nil:
		lbls, err := w.outside(described)
		return &Peer{isOutside: true}, lbls, err
	}
	return nil, nil, errors.New("a peer is a pod (namespace), an entity, an address (ip), names or raw labels")
}

// pod gives the labels that the agent computes from a Pod and its Namespace. Admission gives every pod an account.
func (w *World) pod(described Description) (*Peer, labels.Labels, error) {
	namespace := &metav1.ObjectMeta{Name: *described.Namespace, Labels: w.line.Namespaces[*described.Namespace]}
	account, cluster := "default", w.settings.Cluster
	if described.ServiceAccount != nil {
		account = *described.ServiceAccount
	}
	if described.Cluster != "" {
		cluster = described.Cluster
	}
	ports := ciliumtypes.NamedPortMap{}
	for _, port := range described.NamedPorts {
		if err := ports.AddPort(port.Name, port.Port, port.Protocol); err != nil {
			return nil, nil, fmt.Errorf("named port %q: %w", port.Name, err)
		}
	}
	sanitized := k8sutils.SanitizePodLabels(described.Labels, namespace, account, cluster)
	kept, _ := labelsfilter.Filter(labels.Map2Labels(sanitized, labels.LabelSourceK8s))
	for _, label := range k8s.NamedPortsIdentityLabels(ports) {
		kept[label.Key] = label
	}
	return &Peer{namedPorts: ports, isEndpoint: true}, kept, nil
}

func (w *World) entity(described Description) (*Peer, labels.Labels, error) {
	names, known := entities[described.Entity]
	if !known {
		return nil, nil, fmt.Errorf("%q is no entity", described.Entity)
	}
	lbls := labels.Labels{}
	for _, name := range names {
		lbls[name] = labels.NewLabel(name, "", labels.LabelSourceReserved)
	}
	isHost := described.Entity == labels.IDNameHost
	if isHost {
		kept, _ := labelsfilter.Filter(labels.Map2Labels(described.NodeLabels, labels.LabelSourceK8s))
		lbls.MergeLabels(kept)
	}
	if w.settings.NodeSelectorLabels {
		kept, _ := labelsfilter.FilterNodeLabels(labels.Map2Labels(described.NodeLabels, labels.LabelSourceNode))
		lbls.MergeLabels(kept)
	}
	return &Peer{isEndpoint: endpointEntities[described.Entity] || (isHost && w.settings.HostFirewall)}, lbls, nil
}
