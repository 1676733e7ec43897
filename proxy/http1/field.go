package http1

import "slices"

// Field is one header or trailer field. Name and Value are slices of the input
// buffer, valid until it moves. Value has no white space around it.
type Field struct {
	Name, Value []byte
	Kind        Kind
	hop         bool
}

// Hop reports whether the field is about this connection only: by its kind, or
// because a Connection field of the same head lists it.
func (f *Field) Hop() bool { return f.hop }

// Find returns the value of the first field of a kind, nil when there is none.
func Find(fields []Field, k Kind) []byte {
	for i := range fields {
		if fields[i].Kind == k {
			return fields[i].Value
		}
	}
	return nil
}

// parse reads one field line, given without its line end (RFC 9112, section 5).
func (f *Field) parse(line []byte) error {
	i := 0
	for i < len(line) && tokenSet[line[i]] {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return badName(line, i)
	}
	f.Name, f.Value = line[:i], line[i+1:]
	if bad := badText(f.Value); bad >= 0 {
		return refuse(f.Value[bad], ErrBadFieldValue)
	}
	f.Value = trim(f.Value)
	f.Kind = KindOf(f.Name)
	f.hop = f.Kind.Hop()
	return nil
}

// badName says what is wrong with a field line whose name ends at i.
func badName(line []byte, i int) error {
	switch {
	case i == len(line):
		return Error{Kind: ErrBadFieldName} // no colon
	case line[i] != ' ' && line[i] != '\t':
		return refuse(line[i], ErrBadFieldName)
	case i == 0:
		return Error{Kind: ErrObsFold}
	}
	if rest := trim(line[i:]); len(rest) > 0 && rest[0] == ':' {
		return Error{Kind: ErrSpaceBeforeColon}
	}
	return Error{Kind: ErrBadFieldName}
}

// nextField makes room for one more field without clearing what was there.
func nextField(fields []Field) ([]Field, *Field) {
	if len(fields) == cap(fields) {
		fields = slices.Grow(fields, max(16, len(fields)))
	}
	fields = fields[:len(fields)+1]
	return fields, &fields[len(fields)-1]
}
