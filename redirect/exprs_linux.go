package redirect

import (
	"fmt"
	"net"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// reg is the register that every expression here loads and tests.
const reg = 1

// routeTypeLocal is RTN_LOCAL of linux/rtnetlink.h, the answer of a fib
// look-up for an address of this namespace.
const routeTypeLocal = unix.RTN_LOCAL

// expressions compiles a rule into what the kernel runs. They are the ones
// that nft would write for the same text, so nft lists them back as that text.
func expressions(f Family, r Rule) []expr.Any {
	exprs := matchExpressions(f, r.Match)
	if r.RedirectTo == 0 {
		return append(exprs, &expr.Verdict{Kind: expr.VerdictReturn})
	}
	return append(exprs,
		&expr.Immediate{Register: reg, Data: binaryutil.BigEndian.PutUint16(r.RedirectTo)},
		&expr.Redir{
			RegisterProtoMin: reg,
			RegisterProtoMax: reg,
			Flags:            unix.NF_NAT_RANGE_PROTO_SPECIFIED,
		},
	)
}

func matchExpressions(f Family, m Match) []expr.Any {
	switch m := m.(type) {
	case FromLoopback:
		return metaEquals(expr.MetaKeyIIFNAME, loopbackName())
	case ToLoopback:
		return metaEquals(expr.MetaKeyOIFNAME, loopbackName())
	case NotLocal:
		return []expr.Any{
			&expr.Fib{Register: reg, ResultADDRTYPE: true, FlagDADDR: true},
			compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(routeTypeLocal)),
		}
	case OwnedBy:
		return metaEquals(expr.MetaKeySKUID, binaryutil.NativeEndian.PutUint32(m.UID))
	case ToPort:
		return portExpressions(m.Ports)
	case ToNetwork:
		return networkExpressions(f, m)
	case OpensTCP:
		return opensExpressions()
	default:
		panic(fmt.Sprintf("redirect: match %T has no expressions", m))
	}
}

func isTCP() []expr.Any {
	return metaEquals(expr.MetaKeyL4PROTO, []byte{unix.IPPROTO_TCP})
}

// opensExpressions reads the flags, which TCP has at offset 13: SYN set, ACK
// not, and the others, as those of ECN, either way (RFC 9293, section 3.1).
func opensExpressions() []expr.Any {
	const syn, ack = 0x02, 0x10
	return append(isTCP(),
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 1, Mask: []byte{syn | ack}, Xor: []byte{0}},
		compare(expr.CmpOpEq, []byte{syn}),
	)
}

// portExpressions reads the destination port, which TCP has at offset 2
// (RFC 9293, section 3.1).
func portExpressions(ports PortRange) []expr.Any {
	exprs := append(isTCP(), &expr.Payload{
		DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2,
	})
	first := binaryutil.BigEndian.PutUint16(ports.First)
	if ports.First == ports.Last {
		return append(exprs, compare(expr.CmpOpEq, first))
	}
	last := binaryutil.BigEndian.PutUint16(ports.Last)
	return append(exprs, compare(expr.CmpOpGte, first), compare(expr.CmpOpLte, last))
}

// networkExpressions reads the destination address: at offset 16 in IPv4 (RFC
// 791, section 3.1), at offset 24 in IPv6 (RFC 8200, section 3).
func networkExpressions(f Family, m ToNetwork) []expr.Any {
	addr := m.Prefix.Addr()
	proto, offset := byte(unix.NFPROTO_IPV4), uint32(16)
	if addr.Is6() {
		proto, offset = unix.NFPROTO_IPV6, 24
	}
	var exprs []expr.Any
	if f == FamilyInet {
		exprs = metaEquals(expr.MetaKeyNFPROTO, []byte{proto})
	}
	// Whole bytes are compared as they are; only a cut byte needs a mask.
	bits := m.Prefix.Bits()
	size := addr.BitLen() / 8
	if bits%8 == 0 {
		size = bits / 8
	}
	exprs = append(exprs, &expr.Payload{
		DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(size),
	})
	if bits%8 != 0 {
		exprs = append(exprs, &expr.Bitwise{
			SourceRegister: reg, DestRegister: reg, Len: uint32(size),
			Mask: net.CIDRMask(bits, addr.BitLen()),
			Xor:  make([]byte, size),
		})
	}
	return append(exprs, compare(expr.CmpOpEq, addr.AsSlice()[:size]))
}

func metaEquals(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: reg}, compare(expr.CmpOpEq, value)}
}

func compare(op expr.CmpOp, value []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: reg, Data: value}
}

// loopbackName is the name as the kernel compares it: filled up with zeroes,
// so that "lo" does not match "lo0".
func loopbackName() []byte {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, "lo")
	return name
}
