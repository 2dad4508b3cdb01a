package main

import (
	"net"
	"os"
)

// notifySystemd tells the service manager what state the program is in (sd_notify(3)), if one
// has asked to be told. That it cannot be told is no reason to serve nobody.
func notifySystemd(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if name[0] == '@' { // an abstract address
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.Write([]byte(state))
}
