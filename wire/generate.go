package wire

// The generated code in wire/gen is committed. Make it again with
// "go generate ./wire" and protoc 3.21 or later on the path. The plugins are
// those of the versions in go.mod: protobuf v1.36.12, connect v1.21.1.

//go:generate go build -o ../bin/gen/ google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/cmd/protoc-gen-connect-go
//go:generate sh -c "protoc -I proto --plugin=../bin/gen/protoc-gen-go --plugin=../bin/gen/protoc-gen-connect-go --go_out=.. --go_opt=module=github.com/leno-mesh/leno --connect-go_out=.. --connect-go_opt=module=github.com/leno-mesh/leno proto/leno/v1/*.proto"
