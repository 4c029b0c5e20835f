package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/u8proto"
)

// matrixLine asks one side of many flows about the current world: each subject's own policy, about each peer and port.
type matrixLine struct {
	ID        json.RawMessage     `json:"id"`
	Subjects  []json.RawMessage   `json:"subjects"`
	Direction string              `json:"direction"`
	Peers     []json.RawMessage   `json:"peers"`
	Ports     [][]json.RawMessage `json:"ports"`
}

// matrixAnswer holds one byte per subject, peer and port, in this order, each an index into Values.
type matrixAnswer struct {
	Type   string          `json:"type"`
	ID     json.RawMessage `json:"id,omitempty"`
	Values []string        `json:"values"`
	Cells  string          `json:"cells"`
	Error  string          `json:"error,omitempty"`
}

// values numbers the different verdicts of one matrix.
type values struct {
	texts   []string
	numbers map[string]byte
}

func (v *values) number(text string) (byte, error) {
	number, is := v.numbers[text]
	if !is {
		if len(v.texts) > math.MaxUint8 {
			return 0, fmt.Errorf("more than %d different verdicts in one matrix; ask about fewer subjects", math.MaxUint8+1)
		}
		number = byte(len(v.texts))
		v.texts, v.numbers[text] = append(v.texts, text), number
	}
	return number, nil
}

func (w *World) matrix(text []byte) any {
	var asked matrixLine
	if err := json.Unmarshal(text, &asked); err != nil {
		return failure{Error: err.Error()}
	}
	answer := matrixAnswer{Type: "matrix", ID: asked.ID}
	if err := w.fill(&answer, asked); err != nil {
		return failure{asked.ID, err.Error()}
	}
	return answer
}

func (w *World) fill(answer *matrixAnswer, asked matrixLine) error {
	key := policy.EgressKey()
	switch asked.Direction {
	case egress:
	case ingress:
		key = policy.IngressKey()
	default:
		return fmt.Errorf("direction %q is neither egress nor ingress", asked.Direction)
	}
	subjects, err := w.peers(asked.Subjects)
	if err != nil {
		return err
	}
	peers, err := w.peers(asked.Peers)
	if err != nil {
		return err
	}
	keys, err := portKeys(key, asked.Ports)
	if err != nil {
		return err
	}
	if err := w.settle(slices.Concat(subjects, peers)...); err != nil {
		return err
	}
	known := values{texts: []string{}, numbers: map[string]byte{}}
	cells := make([]byte, 0, len(subjects)*len(peers)*len(keys))
	for _, subject := range subjects {
		verdict := w.verdicts(subject, answer)
		for _, peer := range peers {
			for _, key := range keys {
				number, err := known.number(verdict(key.WithIdentity(peer.identity.ID)))
				if err != nil {
					return err
				}
				cells = append(cells, number)
			}
		}
	}
	answer.Values, answer.Cells = known.texts, base64.StdEncoding.EncodeToString(cells)
	return nil
}

func (w *World) peers(texts []json.RawMessage) ([]*Peer, error) {
	peers := make([]*Peer, 0, len(texts))
	for _, text := range texts {
		peer, err := w.peer(text)
		if err != nil {
			return nil, err
		}
		peers = append(peers, peer)
	}
	return peers, nil
}

func portKeys(key policy.Key, ports [][]json.RawMessage) ([]policy.Key, error) {
	keys := make([]policy.Key, 0, len(ports))
	for _, pair := range ports {
		if len(pair) != 2 {
			return nil, fmt.Errorf("a port is a pair of number and protocol, not %d values", len(pair))
		}
		var number int
		var name string
		if err := json.Unmarshal(pair[0], &number); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(pair[1], &name); err != nil {
			return nil, err
		}
		port, protocol, err := portOf(number, name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key.WithPortProto(protocol, port))
	}
	return keys, nil
}

// portOf checks what the engine itself would not: it looks up no wildcards.
func portOf(number int, name string) (uint16, u8proto.U8proto, error) {
	if number < 1 || number > math.MaxUint16 {
		return 0, 0, fmt.Errorf("port %d is not within 1-65535, which is all that the engine looks up", number)
	}
	protocol, err := u8proto.ParseProtocol(name)
	if err != nil || protocol == u8proto.ANY {
		return 0, 0, fmt.Errorf("protocol %q is none of a flow", name)
	}
	return uint16(number), protocol, nil
}

// verdicts gives the function that decides the subject's cells. A policy that cannot be computed makes them `error`.
func (w *World) verdicts(subject *Peer, answer *matrixAnswer) func(policy.Key) string {
	if !subject.isEndpoint {
		return func(policy.Key) string { return allow }
	}
	endpoint := w.endpoint(subject)
	if endpoint.err != nil {
		answer.Error = first(answer.Error, endpoint.err.Error())
		return func(policy.Key) string { return failed }
	}
	type place struct {
		peer     identity.NumericIdentity
		port     uint16
		protocol u8proto.U8proto
	}
	listed := map[place]string{}
	return func(key policy.Key) string {
		entry, _, _ := endpoint.policy.Lookup(key)
		if entry.IsDeny() {
			return deny
		}
		if !entry.IsRedirectEntry() {
			return allow
		}
		at := place{key.Identity, key.DestPort, key.Nexthdr}
		if _, is := listed[at]; !is {
			listed[at] = "redirect " + content(endpoint.proxied(endpoint.direction(key), key))
		}
		return listed[at]
	}
}

// content tells what proxies get without naming selectors; names of DNS rules are asked by queries.
func content(all []l7Rules) string {
	var texts []string
	for _, rules := range all {
		text := rules.Parser
		if len(rules.HTTP) > 0 {
			written, err := json.Marshal(rules.HTTP)
			if err != nil {
				written = []byte(err.Error())
			}
			text += " " + string(written)
		}
		if len(rules.ServerNames) > 0 {
			text += " " + strings.Join(rules.ServerNames, ",")
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "; ")
}
