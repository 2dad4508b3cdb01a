package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// The format, all numbers little-endian.
//
//	header: "kadnode\n", version u16, kind u16, salt u64, checksum of these u32
//	file:   header, header, frame...
//	frame:  marker u32 (the low half of the salt), length of the records u32,
//	        time in milliseconds since 1970 i64, checksum u32, records
//	record: tag u8, length uvarint, bytes
//
// The checksum of a frame is CRC-32C of what is before it and of the records, begun with the high
// half of the salt xor its place in the file: a frame that a disk has put elsewhere is none. The
// last frame of a snapshot has no records.
const (
	magic   = "kadnode\n"
	version = 1

	headerLen      = len(magic) + 2 + 2 + 8 + 4
	fileHeaderLen  = 2 * headerLen // one of them may be damaged
	markerLen      = 4
	frameHeaderLen = markerLen + 4 + 8 + 4

	// MaxRecord is the most bytes of a record.
	MaxRecord = 64 << 10
	// maxFrame is the most bytes of the records of a frame: some dozens of full batches.
	maxFrame = 4 << 20
	// snapshotFrame is about how many a snapshot's have.
	snapshotFrame = 128 << 10
)

// kind tells logs from snapshots.
type kind uint16

const (
	kindLog kind = 1 + iota
	kindSnapshot
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	// ErrNewer says that a file was written by a later version of the program.
	ErrNewer = errors.New("written by a newer version of the program")

	errDamaged = errors.New("damaged")
	errShort   = errors.New("no whole header") // of a file that a crash has cut off
)

// salt tells the frames of a file from all other bytes.
type salt uint64

func (s salt) marker() uint32 { return uint32(s) }

// sum returns the checksum of a frame with such a header at a place of the file.
func (s salt) sum(pos int64, header, records []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(s>>32)^uint32(pos), castagnoli, header[:frameHeaderLen-4]), castagnoli, records)
}

// appendFileHeader appends what a file begins with.
func appendFileHeader(dst []byte, k kind, s salt) []byte {
	for range 2 {
		start := len(dst)
		dst = append(dst, magic...)
		dst = binary.LittleEndian.AppendUint16(dst, version)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(k))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s))
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	}
	return dst
}

// parseFileHeader reads what a file begins with.
func parseFileHeader(b []byte, want kind) (salt, error) {
	if len(b) < fileHeaderLen {
		return 0, errShort
	}
	for h := range 2 {
		b := b[h*headerLen:][:headerLen]
		if string(b[:len(magic)]) != magic ||
			crc32.Checksum(b[:headerLen-4], castagnoli) != binary.LittleEndian.Uint32(b[headerLen-4:]) {
			continue
		}
		b = b[len(magic):]
		switch v := binary.LittleEndian.Uint16(b); {
		case v > version:
			return 0, ErrNewer
		case v != version || kind(binary.LittleEndian.Uint16(b[2:])) != want:
			continue
		}
		return salt(binary.LittleEndian.Uint64(b[4:])), nil
	}
	return 0, errDamaged
}

// sealFrame completes a frame, which begins with room for its header, to be written at pos.
func (s salt) sealFrame(frame []byte, pos int64, at time.Time) {
	records := frame[frameHeaderLen:]
	binary.LittleEndian.PutUint32(frame, s.marker())
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(records)))
	binary.LittleEndian.PutUint64(frame[8:], uint64(at.UnixMilli()))
	binary.LittleEndian.PutUint32(frame[16:], s.sum(pos, frame, records))
}

// frameLen returns the length of the records after a frame's header, if it may be one.
func (s salt) frameLen(header []byte) (n int, ok bool) {
	length := binary.LittleEndian.Uint32(header[4:])
	return int(length), binary.LittleEndian.Uint32(header) == s.marker() && length <= maxFrame
}

// openFrame returns the time of a frame, if header and records, read at pos, are one.
func (s salt) openFrame(pos int64, header, records []byte) (at time.Time, ok bool) {
	at = time.UnixMilli(int64(binary.LittleEndian.Uint64(header[8:])))
	return at, binary.LittleEndian.Uint32(header[16:]) == s.sum(pos, header, records)
}

// appendRecord appends a record to a frame.
func appendRecord(frame []byte, tag Tag, record []byte) []byte {
	frame = append(frame, byte(tag))
	frame = binary.AppendUvarint(frame, uint64(len(record)))
	return append(frame, record...)
}

// nextRecord returns the first record of a frame's and what follows it. A frame with a good
// checksum that is no sequence of records was written by another program.
func nextRecord(records []byte) (tag Tag, record, rest []byte, err error) {
	if len(records) < 2 {
		return 0, nil, nil, errDamaged
	}
	length, n := binary.Uvarint(records[1:])
	if n <= 0 || length > uint64(len(records)-1-n) {
		return 0, nil, nil, errDamaged
	}
	rest = records[1+n:]
	return Tag(records[0]), rest[:length], rest[length:], nil
}
