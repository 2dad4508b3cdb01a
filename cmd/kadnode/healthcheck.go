package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newHealthcheckCommand() *cobra.Command {
	o := new(runOptions)
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.addFlags(fs)
	timeout := 3 * time.Second
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the node of this host whether it is serving",
		Long: `Ask the node of this host whether it is serving. It is asked at the address that
"kadnode run" would serve HTTP at with the same flags, environment and file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.fill(fs); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return healthcheck(ctx, o.http)
		},
	}
	cmd.Flags().AddFlag(fs.Lookup("http"))
	cmd.Flags().AddFlag(fs.Lookup("config"))
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "longest time to take")
	return cmd
}

func healthcheck(ctx context.Context, addr string) error {
	if addr == none {
		return errors.New("nothing to ask: --http is none")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+localAddr(addr)+"/healthz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: new(http.Transport)} // without a proxy
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", addr, resp.Status)
	}
	return nil
}

// localAddr returns the address at which what is served at addr can be asked from
// this host.
func localAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip.Is4() && ip.IsUnspecified():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
