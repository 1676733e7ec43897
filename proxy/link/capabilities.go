package link

import (
	"fmt"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// ALPN is the protocol name in the TLS handshake; the number is the major
// version of docs/link.md.
const ALPN = "leno/1"

// Version is the minor version that this code speaks.
const Version = 1

// Private settings (docs/link.md, "Capabilities").
const (
	settingVersion  http2.SettingID = 0xf1e0
	settingFeatures http2.SettingID = 0xf1e1
	settingSoftware http2.SettingID = 0xf1e2
)

// Capabilities are what a side says about itself in its first SETTINGS. What
// it does not say is zero.
type Capabilities struct {
	Version  uint32
	Features uint32
	Software string // "major.minor.patch"
}

// Settings are the capabilities for mux.Config.
func (c Capabilities) Settings() []http2.Setting {
	return []http2.Setting{
		{ID: settingVersion, Value: c.Version},
		{ID: settingFeatures, Value: c.Features},
		{ID: settingSoftware, Value: packSoftware(c.Software)},
	}
}

// Peer gives what the other side said about itself; ok is false before it did.
func Peer(c *mux.Conn) (p Capabilities, ok bool) {
	p.Version, _ = c.PeerSetting(settingVersion)
	p.Features, _ = c.PeerSetting(settingFeatures)
	software, _ := c.PeerSetting(settingSoftware)
	p.Software = unpackSoftware(software)
	return p, c.Settled()
}

// packSoftware makes a number of "major.minor.patch"; anything else is 0.
func packSoftware(s string) uint32 {
	var major, minor, patch uint32
	if n, err := fmt.Sscanf(s, "%d.%d.%d", &major, &minor, &patch); n != 3 || err != nil {
		return 0
	}
	return min(major, 0xffff)<<16 | min(minor, 0xff)<<8 | min(patch, 0xff)
}

func unpackSoftware(v uint32) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff)
}
