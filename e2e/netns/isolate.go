package netns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// isolatedEnv marks a process that Isolate has started.
const isolatedEnv = "KADNODE_NETNS_ISOLATED"

// enter gives the process that it is replaced by a directory of named network
// namespaces of its own, then starts the program.
const enter = `mkdir -p /run/netns && mount -t tmpfs netns /run/netns && exec "$0" "$@"`

// isolated returns the command line that runs another one with mounts and process
// ids of its own.
func isolated(command ...string) []string {
	return append([]string{"unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child",
		"sh", "-c", enter}, command...)
}

// Isolate starts the running program again with mounts and process ids of its
// own; to be called first thing in TestMain. Nothing that the program starts can
// outlive it then, however it ends: the kernel kills every process of its pid
// namespace and frees the network namespaces with them, and those that the host
// has are neither seen nor touched. Where Missing is not nil, it does nothing.
func Isolate() error {
	if os.Getenv(isolatedEnv) != "" || Missing() != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("netns: isolate: %w", err)
	}
	args := append(isolated(self), os.Args[1:]...)
	unshare, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("netns: isolate: %w", err)
	}
	err = syscall.Exec(unshare, args, append(os.Environ(), isolatedEnv+"=1"))
	return fmt.Errorf("netns: isolate: %w", err)
}

// Missing tells what this machine lacks for a Network; nil: nothing.
func Missing() error {
	switch {
	case os.Getenv(isolatedEnv) != "":
		return nil // it has worked
	case runtime.GOOS != "linux":
		return fmt.Errorf("netns: network namespaces need Linux, this is %s", runtime.GOOS)
	case os.Getuid() != 0:
		return errors.New("netns: network namespaces need root")
	}
	try := isolated("ip", "netns", "add", "try") // many a container forbids it to its root
	if out, err := exec.Command(try[0], try[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("netns: make a namespace: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
