package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// extendedServer takes CONNECT for WebSocket (RFC 8441), and says what it hears.
const extendedServer = `
const http2 = require('http2')
const server = http2.createServer({ settings: { enableConnectProtocol: true } })
server.on('stream', (stream, headers) => {
	stream.on('error', () => {})
	if (headers[':method'] !== 'CONNECT') {
		stream.respond({ ':status': 200 })
		stream.end(headers[':method'])
		return
	}
	stream.respond({ ':status': 200, 'x-heard': headers[':protocol'] + ' ' + headers[':path'] })
	stream.on('data', (chunk) => stream.write(chunk))
	stream.on('end', () => stream.end('bye'))
})
server.listen(Number(process.argv[3]), process.argv[2])
`

// extendedClient connects twice. Until a client was told that it may, it must
// not: on the first connection a request comes before, and the second one knows
// from the beginning.
const extendedClient = `
const http2 = require('http2')
const url = process.argv[2]
const fail = (what) => { console.log('failed:', what); process.exit(1) }
const told = (session) => new Promise((done) => {
	const look = () => session.remoteSettings.enableConnectProtocol && done()
	session.on('remoteSettings', look)
})
const get = (session) => new Promise((done) => {
	const stream = session.request({ ':path': '/' })
	stream.on('error', fail)
	stream.on('data', () => {})
	stream.on('end', done)
})
const tunnel = (session, n) => new Promise((done) => {
	const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat?' + n, ':scheme': 'http', ':authority': 'app' }, { endStream: false })
	const message = Buffer.alloc(n, 'x')
	let heard = 0
	let last = ''
	stream.on('error', fail)
	stream.on('response', (headers) => {
		if (headers[':status'] !== 200 || headers['x-heard'] !== 'websocket /chat?' + n) fail(JSON.stringify(headers))
		stream.write(message)
	})
	stream.on('data', (chunk) => {
		const before = heard
		heard += chunk.length
		if (before < n && heard >= n) stream.end()
		last = (last + chunk.toString('latin1')).slice(-3)
	})
	stream.on('end', () => heard === n + 3 && last === 'bye' ? done() : fail('heard ' + heard + ' bytes, ' + last))
})
const main = async () => {
	for (const first of [true, false]) {
		const session = http2.connect(url)
		session.on('error', fail)
		const may = told(session)
		if (first) await get(session)
		await may
		await Promise.all([1, 125, 70000, 1000000].map((n) => tunnel(session, n)))
		console.log('tunnels joined')
		session.close()
	}
}
main().catch(fail)
`

// serveExtended starts Node's HTTP/2 server.
func serveExtended(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	harness.Start(t, at, harness.Program{Name: "node-2", Args: []string{
		harness.Need(t, "node", "nodejs"), script(t, extendedServer), at.Addr.String(), fmt.Sprint(port),
	}})
	return nil
}

// script writes a program for Node.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(harness.Dir(t, 0), "script.js")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// judgeExtended opens WebSockets over HTTP/2.
func judgeExtended(t *testing.T, c *court) {
	out, err := c.exec(t, harness.Need(t, "timeout", "coreutils"), "60", harness.Need(t, "node", "nodejs"), script(t, extendedClient), c.url(""))
	if n := strings.Count(out, "tunnels joined"); err == nil && n != 2 {
		err = fmt.Errorf("%d of 2 connections: %s", n, out)
	} else if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	c.verdict("tunnels", err)
}
