package mux

import (
	"cmp"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Frames bounds what the frames of a peer may hold and make wait. Zero values
// have defaults.
type Frames struct {
	// Continuations is the CONTINUATION frames of one header block, BlockBytes
	// its bytes as they travel, and Settings the entries of one SETTINGS frame.
	// Their defaults are those of http2.Limits.
	Continuations, BlockBytes, Settings int
	// Answers is the bytes of answers that the peer does not read. Default
	// MaxAnswers.
	Answers int
	// Stall is how long the peer may hardly take anything of a stream when memory
	// or streams are short. Default StallTime.
	Stall time.Duration
	// Head is how long a header block may take to come. Default HeadTime.
	Head time.Duration
	// HeldBlock is the bytes of the block of a stranger under way when memory is
	// short, and Heads the heads of one stream. Defaults MaxHeldBlock and MaxHeads.
	HeldBlock, Heads int
}

func (f Frames) heads() int { return cmp.Or(f.Heads, MaxHeads) }

func (f Frames) heldBlock() int { return cmp.Or(f.HeldBlock, MaxHeldBlock) }

func (f Frames) answers() int { return cmp.Or(f.Answers, MaxAnswers) }

func (f Frames) head() time.Duration { return cmp.Or(f.Head, HeadTime) }

func (f Frames) stall() time.Duration { return cmp.Or(f.Stall, StallTime) }

// limit puts the part of the codec into its limits.
func (f Frames) limit(l http2.Limits) http2.Limits {
	l.MaxContinuations, l.MaxBlockBytes, l.MaxSettings = f.Continuations, f.BlockBytes, f.Settings
	return l
}
