package main

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel end cmd when this process is gone, whatever the reason.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
