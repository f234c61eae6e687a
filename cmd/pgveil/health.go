package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"pgveil/config"
)

const healthUsage = `Usage: pgveil health [-c pgveil.yaml]

Asks the metrics listener of a running proxy whether it is ready. Exit status 1 when it is not.

`

// healthTimeout bounds the question.
const healthTimeout = 5 * time.Second

func runHealth(c *cli, args []string) error {
	fs := c.flags("health", healthUsage)
	file := fs.String("c", "pgveil.yaml", "configuration `file`")
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg, err := config.Load(*file, os.LookupEnv)
	if err != nil {
		return err
	}
	a := cfg.Metrics.Listen
	if a == (config.Address{}) {
		return errors.New("metrics.listen is not set: there is nothing to ask")
	}
	ctx, cancel := context.WithTimeout(c.ctx, healthTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, a.Network(), a.String())
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pgveil/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
	}
	fmt.Fprintln(c.stdout, "ready")
	return nil
}
