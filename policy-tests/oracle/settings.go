package main

import (
	"fmt"
	"log/slog"

	"github.com/cilium/cilium/pkg/labelsfilter"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
)

// Settings are the agent's settings that decide verdicts, with the values of a Kubernetes cluster where absent.
type Settings struct {
	Cluster             string   `json:"cluster"`
	AnyCluster          bool     `json:"any_cluster"`
	IPv4                bool     `json:"ipv4"`
	IPv6                bool     `json:"ipv6"`
	AllowLocalhost      string   `json:"allow_localhost"`
	Enforcement         string   `json:"enforcement"`
	L7Proxy             bool     `json:"l7_proxy"`
	ICMPRules           bool     `json:"icmp_rules"`
	NonDefaultDeny      bool     `json:"non_default_deny"`
	ExtendedIPProtocols bool     `json:"extended_ip_protocols"`
	NodeSelectorLabels  bool     `json:"node_selector_labels"`
	HostFirewall        bool     `json:"host_firewall"`
	LabelPrefixes       []string `json:"label_prefixes"`
}

func defaults() Settings {
	return Settings{
		Cluster:        "default",
		IPv4:           true,
		AllowLocalhost: option.AllowLocalhostAlways,
		Enforcement:    option.DefaultEnforcement,
		L7Proxy:        true,
		ICMPRules:      true,
		NonDefaultDeny: true,
	}
}

// policyCluster is the cluster that selectors without one mean; empty where they mean every cluster.
func (s Settings) policyCluster() string {
	if s.AnyCluster {
		return ""
	}
	return s.Cluster
}

// apply sets the engine's process-wide options: there is one world at a time.
func (s Settings) apply(logger *slog.Logger) error {
	switch s.AllowLocalhost {
	case option.AllowLocalhostAlways, option.AllowLocalhostPolicy:
	default:
		return fmt.Errorf("config.allow_localhost %q is neither always nor policy", s.AllowLocalhost)
	}
	switch s.Enforcement {
	case option.DefaultEnforcement, option.AlwaysEnforce, option.NeverEnforce:
	default:
		return fmt.Errorf("config.enforcement %q is none of default, always, never", s.Enforcement)
	}
	config := option.Config
	config.ClusterName = s.Cluster
	config.EnableIPv4, config.EnableIPv6 = s.IPv4, s.IPv6
	config.UnsafeDaemonConfigOption.AllowLocalhost = s.AllowLocalhost
	config.EnableL7Proxy = s.L7Proxy
	config.EnableICMPRules = s.ICMPRules
	config.EnableNonDefaultDenyPolicies = s.NonDefaultDeny
	config.EnableExtendedIPProtocols = s.ExtendedIPProtocols
	config.EnableNodeSelectorLabels = s.NodeSelectorLabels
	config.EnableHostFirewall = s.HostFirewall
	policy.SetPolicyEnabled(s.Enforcement)
	api.InitEntities(s.Cluster)
	if err := labelsfilter.ParseLabelPrefixCfg(logger, s.LabelPrefixes, nil, ""); err != nil {
		return fmt.Errorf("config.label_prefixes: %w", err)
	}
	return nil
}
