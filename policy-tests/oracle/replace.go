package main

import (
	"encoding/json"
	"fmt"

	"github.com/cilium/cilium/pkg/identity"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
)

// replaceLine changes policies of the current world in place.
type replaceLine struct {
	ID       json.RawMessage   `json:"id"`
	Policies []json.RawMessage `json:"policies"`
	Removed  []struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"removed"`
}

// replace puts policies over those of the same kind, namespace and name; one that is rejected leaves none there.
func (w *World) replace(text []byte) any {
	var line replaceLine
	if err := json.Unmarshal(text, &line); err != nil {
		return failure{Error: err.Error()}
	}
	reader := w.reader()
	var changed []Object
	for _, one := range line.Removed {
		kind, read := reader.kind(one.Kind)
		if read == nil {
			return failure{line.ID, fmt.Sprintf("%s is no kind of policy", one.Kind)}
		}
		changed = append(changed, Object{resource: ipcachetypes.NewResourceID(kind, one.Namespace, one.Name)})
	}
	reports := []ObjectReport{}
	for _, body := range line.Policies {
		object := reader.read(body)
		reports = append(reports, object.report)
		if object.resource != "" {
			changed = append(changed, object)
		}
	}
	if err := w.change(changed); err != nil {
		return failure{line.ID, err.Error()}
	}
	return worldReport{"replace", line.ID, w.engine.version, reports, len(w.identities)}
}

// change leaves computed policies alone whose subjects no changed object selects, before or after.
func (w *World) change(objects []Object) error {
	for _, object := range objects {
		w.objects[object.resource] = object
	}
	if err := w.learn(); err != nil {
		return err
	}
	for _, object := range objects {
		affected, _, _ := w.repository.ReplaceByResource(object.entries, object.resource)
		stale := map[identity.NumericIdentity]bool{identity.ReservedIdentityHost: true} // its labels are in no cache
		for id := range affected.Members() {
			stale[id] = true
		}
		w.forget(func(endpoint *Endpoint) bool { return stale[endpoint.identity] })
	}
	return nil
}
