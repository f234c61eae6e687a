package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"pgveil/masking"
	"pgveil/proxy/auth"
)

const keygenUsage = `Usage: pgveil keygen > pgveil.key

Prints a new key file for the keyed masks. Keep it readable by the proxy's account
only (chmod 600) and back it up: another key gives other hashes, tokens and pseudonyms
for the same values. pgveil rekey puts a new key into a file that is in use.
`

func runKeygen(c *cli, args []string) error {
	fs := c.flags("keygen", keygenUsage)
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return misuse(fs, "keygen takes no arguments")
	}
	_, err := io.WriteString(c.stdout, masking.GenerateKey())
	return err
}

const rekeyUsage = `Usage: pgveil rekey pgveil.key

Puts a new key before the others of a key file, in one step, and prints the ids of all.
The newest key masks from the next reload on (SIGHUP); tokens of the older ones still
open. Hashes, pseudonyms, shifts and format-preserving encryption change: docs/keys.md.
`

func runRekey(c *cli, args []string) error {
	fs := c.flags("rekey", rekeyUsage)
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return misuse(fs, "rekey takes one key file")
	}
	keys, err := masking.AddKey(fs.Arg(0))
	if err != nil {
		return err
	}
	ids := keys.IDs()
	_, err = fmt.Fprintf(c.stdout, "%s has %d keys, the newest first: %s\n", fs.Arg(0), len(ids), strings.Join(ids, " "))
	return err
}

const passwdUsage = `Usage: pgveil passwd

Reads a password, from the terminal without echo or else from standard input, and
prints its SCRAM-SHA-256 verifier for the "users" section.
`

func runPasswd(c *cli, args []string) error {
	fs := c.flags("passwd", passwdUsage)
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return misuse(fs, "passwd takes no arguments: a password on the command line would be seen by other users")
	}
	password, err := readPassword(c)
	if err != nil {
		return err
	}
	v, err := auth.MakeVerifier(password)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, v.String())
	return err
}

// maxPassword bounds a password read from standard input, in bytes.
const maxPassword = 4096

func readPassword(c *cli) (string, error) {
	f, ok := c.stdin.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.stderr, "Password: ")
		first, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprint(c.stderr, "\nAgain: ")
		if err != nil {
			return "", err
		}
		second, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.stderr)
		if err != nil {
			return "", err
		}
		if string(first) != string(second) {
			return "", errors.New("the two passwords differ")
		}
		return notEmpty(string(first))
	}
	line, err := bufio.NewReader(io.LimitReader(c.stdin, maxPassword)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	return notEmpty(strings.TrimRight(line, "\r\n"))
}

func notEmpty(password string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
	}
	return password, nil
}
