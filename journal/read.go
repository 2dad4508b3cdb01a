package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// extent is what reading a file has come to.
type extent struct {
	end     int64 // of the last good frame: where to read on
	skipped int64 // bytes of damaged frames before that
	tail    int64 // bytes behind it that are no frame, or not yet
	whole   bool  // of a snapshot: its last frame is there
}

// size returns the bytes of the file.
func (e *extent) size() int64 { return e.end + e.tail }

// empty tells whether the file is its header alone.
func (e *extent) empty() bool { return *e == extent{end: int64(fileHeaderLen)} }

// readFile hands the frames of a file, from offset on, to each. What is damaged is left out;
// the error is one of reading, or of the header.
func readFile(fs FS, name string, k kind, offset int64, each func(at time.Time, records []byte)) (extent, error) {
	r := fileReader{fs: fs, name: name, each: each}
	defer r.close()
	if err := r.readHeader(k); err != nil {
		return extent{}, err
	}
	r.at.end = max(offset, int64(fileHeaderLen))
	again := int64(-1)
	for pos := r.at.end; ; {
		bad, err := r.readFrames(pos)
		if err != nil {
			return r.at, err
		}
		if pos, err = r.findMarker(bad); pos < 0 {
			return r.at, err
		}
		// Of a file that is being written, the frame may have been half there: now that the
		// next one is, it is whole.
		if bad != again {
			pos, again = bad, bad
		}
	}
}

type fileReader struct {
	fs   FS
	name string
	each func(at time.Time, records []byte)
	salt salt
	at   extent

	f   io.ReadCloser
	buf *bufio.Reader
	b   []byte // the records of a frame

	header [frameHeaderLen]byte
}

// seek has buf read from offset on.
func (r *fileReader) seek(offset int64) error {
	r.close()
	f, err := r.fs.Open(r.name, offset)
	if err != nil {
		return err
	}
	r.f = f
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(f, 16<<10)
	} else {
		r.buf.Reset(f)
	}
	return nil
}

func (r *fileReader) close() {
	if r.f != nil {
		r.f.Close()
		r.f = nil
	}
}

func (r *fileReader) readHeader(k kind) error {
	if err := r.seek(0); err != nil {
		return err
	}
	var b [fileHeaderLen]byte
	n, err := io.ReadFull(r.buf, b[:])
	if err != nil && !ended(err) {
		return err
	}
	r.salt, err = parseFileHeader(b[:n], k)
	return err
}

// readFrames reads frames from pos on, up to the end or to one that is damaged, and returns
// where that begins.
func (r *fileReader) readFrames(pos int64) (int64, error) {
	if err := r.seek(pos); err != nil {
		return pos, err
	}
	for {
		header := r.header[:]
		if _, err := io.ReadFull(r.buf, header); err != nil {
			return pos, notEnd(err)
		}
		n, ok := r.salt.frameLen(header)
		if !ok {
			return pos, nil
		}
		if cap(r.b) < n {
			r.b = make([]byte, n)
		}
		records := r.b[:n]
		if _, err := io.ReadFull(r.buf, records); err != nil {
			return pos, notEnd(err)
		}
		at, ok := r.salt.openFrame(pos, header, records)
		if !ok {
			return pos, nil
		}
		r.at.skipped += pos - r.at.end
		pos += int64(frameHeaderLen + n)
		r.at.end, r.at.whole = pos, n == 0
		r.each(at, records)
	}
}

// findMarker returns where the next frame may begin, behind start; -1 if nowhere.
func (r *fileReader) findMarker(start int64) (int64, error) {
	if err := r.seek(start); err != nil {
		return -1, err
	}
	var marker [markerLen]byte
	binary.LittleEndian.PutUint32(marker[:], r.salt.marker())
	for pos, skip := start, 1; ; {
		b, err := r.buf.Peek(r.buf.Size())
		if i := bytes.Index(b[min(skip, len(b)):], marker[:]); i >= 0 {
			return pos + int64(skip+i), nil
		}
		if err != nil {
			r.at.tail = pos + int64(len(b)) - r.at.end
			return -1, notEnd(err)
		}
		skip = 0
		searched := len(b) - (markerLen - 1) // what is left may be the start of one
		r.buf.Discard(searched)
		pos += int64(searched)
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func notEnd(err error) error {
	if ended(err) {
		return nil
	}
	return err
}
