package netns

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

const (
	ethernetHeader = 14 // two addresses and the type
	ipv6Header     = 40 // RFC 8200, section 3
)

// tcpPayload takes an Ethernet frame apart. The flow names both ends in the
// direction of the packet. What is not TCP has no payload.
func tcpPayload(frame []byte) (flow string, payload []byte) {
	if len(frame) < ethernetHeader {
		return "", nil
	}
	packet := frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		return ipv4Payload(packet)
	case unix.ETH_P_IPV6:
		return ipv6Payload(packet)
	default:
		return "", nil
	}
}

// ipv4Payload reads RFC 791, section 3.1. The total length leaves out what
// Ethernet fills short frames with.
func ipv4Payload(packet []byte) (flow string, payload []byte) {
	if len(packet) < 20 || packet[9] != unix.IPPROTO_TCP {
		return "", nil
	}
	header, total := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if total == 0 { // an offloaded packet larger than the field can say
		total = len(packet)
	}
	if header < 20 || total < header || len(packet) < total {
		return "", nil
	}
	return segment(packet[12:20], packet[header:total])
}

// ipv6Payload reads RFC 8200, section 3. Nothing in these networks sends
// extension headers in front of TCP.
func ipv6Payload(packet []byte) (flow string, payload []byte) {
	if len(packet) < ipv6Header || packet[6] != unix.IPPROTO_TCP {
		return "", nil
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(packet[4:]))
	if total == ipv6Header {
		total = len(packet)
	}
	if len(packet) < total {
		return "", nil
	}
	return segment(packet[8:40], packet[ipv6Header:total])
}

// segment reads RFC 9293, section 3.1.
func segment(addresses, tcp []byte) (flow string, payload []byte) {
	if len(tcp) < 20 {
		return "", nil
	}
	offset := int(tcp[12]>>4) * 4
	if offset < 20 || len(tcp) < offset {
		return "", nil
	}
	return string(addresses) + string(tcp[:4]), tcp[offset:]
}

func interfaceIndex(name string) (int, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return iface.Index, nil
}
