package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxToken bounds a token: those of Kubernetes have one or two kilobytes.
const maxToken = 16 << 10

// claims are those that a token without a chance shows by itself (RFC 7519,
// section 4.1).
type claims struct {
	Audience audience `json:"aud"`
	Expires  float64  `json:"exp"` // Unix seconds
}

// audience is a string or a list of them.
type audience []string

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// glance says whether a token is worth a question to the API server. It
// believes nothing that the token says: it only saves questions whose answer
// is known.
func glance(token string, now time.Time) error {
	if len(token) > maxToken {
		return fmt.Errorf("%d bytes; at most %d", len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a JSON Web Token")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("not a JSON Web Token")
	}
	var c claims
	if err := json.Unmarshal(b, &c); err != nil {
		return errors.New("not a JSON Web Token")
	}
	if !slices.Contains(c.Audience, Audience) {
		return fmt.Errorf("it is not for the audience %s", Audience)
	}
	// The API server's clock decides; this one may be a little ahead.
	if end := time.Unix(int64(c.Expires), 0); c.Expires > 0 && now.Sub(end) > 5*time.Minute {
		return fmt.Errorf("it ended at %s", end.UTC().Format(time.RFC3339))
	}
	return nil
}
