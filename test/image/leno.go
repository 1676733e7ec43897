package image

import "os"

// Registry is where Leno's images are named to be from.
const Registry = "ghcr.io/leno-mesh"

// Authorities is where Debian keeps the certificates of public authorities.
const Authorities = "/etc/ssl/certs/ca-certificates.crt"

// Leno is the image of the control plane and the commands. The binary is the
// path of leno, built without cgo.
func Leno(version, binary string) Image { return scratch("leno", version, binary, "2103") }

// Proxy is the image of the proxy. Its user is the one whose traffic is not
// redirected.
func Proxy(version, binary string) Image { return scratch("leno-proxy", version, binary, "2102") }

// Program is an image of any binary that needs no other file.
func Program(name, binary string) Image {
	return Image{
		Name: name,
		Files: map[string]File{
			"/program": {Mode: 0o755, Source: binary},
			"/tmp":     {Mode: os.ModeDir | os.ModeSticky | 0o777},
		},
		Entrypoint: []string{"/program"},
	}
}

func scratch(name, version, binary, user string) Image {
	return Image{
		Name: Registry + "/" + name + ":" + version,
		Files: map[string]File{
			"/" + name:  {Mode: 0o755, Source: binary},
			Authorities: {Mode: 0o644, Source: Authorities},
		},
		Entrypoint: []string{"/" + name},
		User:       user,
		Labels: map[string]string{
			"org.opencontainers.image.title":    name,
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.source":   "https://github.com/leno-mesh/leno",
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
}
