// Package send is the last stage of a request's way: outbound it puts the
// request on a link to the peer's proxy, or on a plain connection where there
// is no proxy; inbound it hands the request to the application. It owns the
// connections that this takes and keeps them for the next request.
package send
