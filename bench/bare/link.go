package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

const (
	recordHead = 4 // its length
	maxRecord  = 64 << 10
	roomFor    = maxRecord - 64 // of frames in a record
)

// link carries records, sealed with AES-128-GCM as TLS 1.3 does. The key is
// not secret, and both directions have the same: this is a measurement.
type link struct {
	fd         int
	aead       cipher.AEAD
	sent, got  uint64 // records, for the nonces
	plain, out []byte // frames that wait; a sealed record
	in         []byte // read and not yet opened
}

func (l *link) init() error {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return err
	}
	l.aead, err = cipher.NewGCM(block)
	l.in = make([]byte, 0, 2*maxRecord)
	return err
}

func (l *link) add(id uint32, b []byte) error {
	if len(l.plain)+frameHead+len(b) > roomFor {
		if err := l.flush(); err != nil {
			return err
		}
	}
	l.plain = appendFrame(l.plain, id, b)
	return nil
}

// flush writes what waits, as one record.
func (l *link) flush() error {
	if len(l.plain) == 0 {
		return nil
	}
	l.out = binary.BigEndian.AppendUint32(l.out[:0], uint32(len(l.plain)+l.aead.Overhead()))
	l.out = l.aead.Seal(l.out, nonce(l.sent), l.plain, l.out[:recordHead])
	l.sent++
	l.plain = l.plain[:0]
	return writeAll(l.fd, l.out)
}

// read reads once and gives the frames of every whole record.
func (l *link) read(visit func(uint32, []byte) error) error {
	n, err := unix.Read(l.fd, l.in[len(l.in):cap(l.in)])
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("link: %w", io.EOF)
	}
	l.in = l.in[:len(l.in)+n]
	rest := l.in
	for len(rest) >= recordHead {
		size := int(binary.BigEndian.Uint32(rest))
		if size > maxRecord {
			return errors.New("link: a record is too large")
		}
		if len(rest) < recordHead+size {
			break
		}
		sealed := rest[recordHead : recordHead+size]
		record, err := l.aead.Open(sealed[:0], nonce(l.got), sealed, rest[:recordHead])
		if err != nil {
			return fmt.Errorf("link: %w", err)
		}
		l.got++
		if err := eachFrame(record, visit); err != nil {
			return err
		}
		rest = rest[recordHead+size:]
	}
	l.in = l.in[:copy(l.in, rest)]
	return nil
}

func nonce(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), n) }
