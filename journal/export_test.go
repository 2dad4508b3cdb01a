package journal

import "time"

// Closing tells whether Close was called.
func (l *Log) Closing() bool { return l.stopping.Load() }

// FileOf returns a file with a frame for each of records, which may be anything.
func FileOf(snapshot bool, records ...[]byte) []byte {
	const s = salt(0x0123456789abcdef)
	k := kindLog
	if snapshot {
		k = kindSnapshot
	}
	b := appendFileHeader(nil, k, s)
	for _, r := range records {
		frame := append(make([]byte, frameHeaderLen), r...)
		s.sealFrame(frame, int64(len(b)), time.Unix(1_600_000_000, 0))
		b = append(b, frame...)
	}
	return b
}
