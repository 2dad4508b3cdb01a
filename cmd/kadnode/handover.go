package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A node hands its sockets to a successor without a gap. Both have the sockets all the time,
// one of them reads; what comes meanwhile waits in the kernel.
//
//	successor: binds nothing, reads the state and the journal     -> "loaded"
//	node:      stops reading, writes what it has acknowledged     -> "go"
//	successor: reads the rest of the journal, serves              -> "serving"
//	node:      ends; or, if the successor fails before "loaded", goes on
const (
	saysLoaded  = "loaded"
	saysGo      = "go"
	saysServing = "serving"
)

const (
	// loadPatience is how long a successor may take to read what there is.
	loadPatience = time.Minute
	// servePatience is how long it may take to serve after that.
	servePatience = 10 * time.Second
)

// predecessor is, in a successor, the node that is to end.
type predecessor struct {
	from, to *os.File // pipes
	lock     *os.File // of its data directory, which is locked for both; nil: it has none
}

// lockDataDir takes the data directory for this process: that of its predecessor is locked for it
// already, so that nobody comes in between.
func (p *predecessor) lockDataDir(dir string) (lock *os.File, err error) {
	if p == nil || p.lock == nil {
		return openDataDir(dir)
	}
	if dir != "" && isFile(p.lock, filepath.Join(dir, lockFile)) {
		return p.lock, nil
	}
	p.lock.Close()
	return openDataDir(dir)
}

// isFile tells whether f is the file with a name.
func isFile(f *os.File, name string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(name)
	return err == nil && os.SameFile(a, b)
}

// take says that all is loaded, and returns when the predecessor serves no longer.
func (p *predecessor) take(ctx context.Context) error {
	fmt.Fprintln(p.to, saysLoaded)
	word := make(chan string, 1)
	go func() { word <- readWord(bufio.NewReader(p.from)) }()
	select {
	case w := <-word:
		if w != saysGo {
			return errors.New("handover: the node to follow goes on by itself")
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// done says that the predecessor may end.
func (p *predecessor) done() {
	fmt.Fprintln(p.to, saysServing)
	p.close()
}

func (p *predecessor) close() {
	p.from.Close()
	p.to.Close()
}

// readWord returns the next line, empty if there is none.
func readWord(r *bufio.Reader) string {
	line, err := r.ReadString('\n')
	if err != nil {
		return ""
	}
	return line[:len(line)-1]
}

// successor is a process that is to take over.
type successor struct {
	cmd   *exec.Cmd
	to    *os.File
	words chan string // closed when it says no more
}

// startSuccessor starts the program anew, as it was started, with the lock of the data directory,
// which may be nil, and the sockets.
func startSuccessor(program string, args []string, lock *os.File, sockets []*os.File) (*successor, error) {
	fromParent, toChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer fromParent.Close()
	fromChild, toParent, err := os.Pipe()
	if err != nil {
		toChild.Close()
		return nil, err
	}
	defer toParent.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{fromParent, toParent}
	kind := handoverPlain
	if lock != nil {
		kind, cmd.ExtraFiles = handoverWithLock, append(cmd.ExtraFiles, lock)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, sockets...)
	cmd.Env = append(os.Environ(), handoverVariable+"="+kind, listenFDs+"="+strconv.Itoa(len(cmd.ExtraFiles)))
	if err := cmd.Start(); err != nil {
		toChild.Close()
		fromChild.Close()
		return nil, err
	}
	s := &successor{cmd: cmd, to: toChild, words: make(chan string, 2)}
	go func() {
		defer close(s.words)
		defer fromChild.Close()
		for r := bufio.NewReader(fromChild); ; {
			w := readWord(r)
			if w == "" {
				return
			}
			s.words <- w
		}
	}()
	return s, nil
}

// await returns nil when the successor has said word.
func (s *successor) await(ctx context.Context, word string, patience time.Duration) error {
	select {
	case w, ok := <-s.words:
		if !ok {
			return errors.New("it has ended")
		}
		if w != word {
			return fmt.Errorf("it says %q, not %q", w, word)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("not %s after %v", word, patience)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abandon ends the successor.
func (s *successor) abandon() {
	s.to.Close()
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// proceed has the successor serve.
func (s *successor) proceed() error {
	_, err := io.WriteString(s.to, saysGo+"\n")
	return err
}

// endWith ends the successor if ctx has ended: who asked this process to end while it handed over
// meant the node.
func (s *successor) endWith(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return s.cmd.Process.Signal(syscall.SIGTERM)
}
