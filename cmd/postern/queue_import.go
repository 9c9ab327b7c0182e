package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/control"
	"postern/queue/spool"
)

// maxEnvelopeFile bounds the envelope beside a message, in octets.
const maxEnvelopeFile = 16 << 20

// imported is one message of "queue import".
type imported struct {
	File string `json:"file"`
	ID   string `json:"id"`
}

func (a *app) queueImport() *cobra.Command {
	var i importer
	cmd := &cobra.Command{
		Use:   "import FILE.eml...",
		Short: "Put messages from files into the queue",
		Long: `Import hands messages to the running gateway, which routes them as if they had
just come, but asks nothing of their sender: whoever may use the control socket
may send as anyone. The content of FILE.eml is kept octet by octet behind a
Received field; files whose lines end in LF alone get CRLF.

The envelope is, in this order: what --from and --to say; X-Sender and X-Receiver
lines on top of the file, which are taken off; FILE.json beside it, as "queue
export" and "spool salvage" write it, for its recipients that are still to be
delivered. With "-" the message is read from standard input. FILE.json itself is
no message, and is passed over where FILE.eml is named too.`,
		Example: `  postern queue import /root/kept/*.eml
  postern queue import letter.eml --from kim@contoso.example --to bob@fabrikam.example
  postern queue import large.eml --no-limit`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError{errors.New("name the files to import")}
			case slices.Contains(args, ""):
				return usageError{errors.New("the name of a file is empty")}
			case cmd.Flags().Changed("from") && i.from == "":
				return emptyFlag("from")
			case cmd.Flags().Changed("to") && (len(i.to) == 0 || slices.Contains(i.to, "")):
				return emptyFlag("to")
			case cmd.Flags().Changed("from") != (len(i.to) > 0):
				return usageError{errors.New("--from and --to go together; the null reverse path is --from \"<>\"")}
			}
			i.app, i.given = a, len(i.to) > 0
			var err error
			if i.client, err = a.client(); err != nil {
				return err
			}
			return i.run(cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&i.from, "from", "", "the sender of the envelope; \"<>\" for the null reverse path")
	cmd.Flags().StringSliceVar(&i.to, "to", nil, "a recipient of the envelope; may be repeated")
	cmd.Flags().BoolVar(&i.noLimit, "no-limit", false, "take messages larger than server.max_message_size")
	return cmd
}

type importer struct {
	app     *app
	client  *control.Client
	from    string
	to      []string
	given   bool
	noLimit bool
}

func (i *importer) run(ctx context.Context, files []string) error {
	done, failed := []imported{}, false
	progress := i.app.progress("messages")
	for _, name := range files {
		id, err := i.file(ctx, name)
		var e *envelopeFile
		switch {
		case errors.As(err, &e) && slices.ContainsFunc(files, e.of):
			fmt.Fprintf(i.app.err, "%s: passed over: it is the envelope of %s\n", clean(name), clean(e.message))
			continue
		case errors.Is(err, control.ErrNoServer):
			return err
		case err != nil:
			failed = true
			fmt.Fprintf(i.app.err, "postern: %s: %s\n", clean(name), clean(asked(err).Error()))
			continue
		}
		progress.add(1)
		done = append(done, imported{name, id})
		if !i.app.json() {
			fmt.Fprintf(i.app.out, "%s: queued as %s\n", clean(name), id)
		}
	}
	if i.app.json() {
		if err := i.app.printJSON(done); err != nil {
			return err
		}
	}
	if failed {
		return errReported
	}
	return nil
}

// envelopeFile is the error for a file that is no message, but the envelope
// beside one.
type envelopeFile struct{ message string }

func (e *envelopeFile) Error() string {
	return "it is an envelope and no message; name " + e.message + ", beside which it belongs"
}

// of reports whether a file is the message of the envelope.
func (e *envelopeFile) of(name string) bool { return filepath.Clean(name) == filepath.Clean(e.message) }

// open opens what may be a message.
func (i *importer) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(i.app.in), nil
	}
	// Asked before it is opened, which with a named pipe may take for ever.
	fi, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case fi.IsDir():
		return nil, fmt.Errorf("it is a directory; name the files in it, as %s", filepath.Join(name, "*.eml"))
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is no regular file; write what it holds to standard input and name -")
	}
	return os.Open(name)
}

// noMail refuses what an export wrote beside a message, whatever it is called
// now: nobody wants an envelope in the mail.
func noMail(name string, r *bufio.Reader) error {
	top, _ := r.Peek(jsonTop)
	text, braced := strings.CutPrefix(strings.TrimSpace(string(top)), "{")
	// RFC 5322 2.2 allows such a field name; nobody has one.
	braced = braced && strings.HasPrefix(strings.TrimSpace(text), `"`)
	switch ext := filepath.Ext(name); {
	case braced && strings.EqualFold(ext, ".json"):
		return &envelopeFile{strings.TrimSuffix(name, ext) + ".eml"}
	case braced:
		return errors.New("it is JSON and no message; name the .eml file")
	case strings.EqualFold(ext, ".json"):
		return errors.New("a .json file is no message; if this is one, give it another name")
	}
	return nil
}

// jsonTop is how much of a file shows that it is JSON, in octets.
const jsonTop = 64

// file imports one file and returns the new queue id.
func (i *importer) file(ctx context.Context, name string) (string, error) {
	in, err := i.open(name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	r := bufio.NewReader(in)
	if err := noMail(name, r); err != nil {
		return "", err
	}
	e, err := readReplay(r)
	if err != nil {
		return "", err
	}
	switch {
	case i.given:
		e = &control.Envelope{Sender: strings.TrimSuffix(strings.TrimPrefix(i.from, "<"), ">")}
		for _, to := range i.to {
			e.Recipients = append(e.Recipients, control.Recipient{Address: to})
		}
	case e == nil && name == "-":
		return "", errors.New("it has no X-Sender and X-Receiver lines; give its envelope with --from and --to")
	case e == nil:
		if e, err = envelopeBeside(name); err != nil {
			return "", err
		}
	}
	a, err := i.client.Import(ctx, e, r, i.noLimit)
	if err != nil {
		return "", err
	}
	return a.ID, nil
}

// envelopeBeside reads the envelope that an export wrote beside a message.
func envelopeBeside(name string) (*control.Envelope, error) {
	beside := strings.TrimSuffix(name, filepath.Ext(name)) + ".json"
	f, err := os.Open(beside)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s beside it, and it has no X-Sender and X-Receiver lines; give its envelope with --from and --to", filepath.Base(beside))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnvelopeFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxEnvelopeFile {
		return nil, fmt.Errorf("%s is larger than %s", beside, config.FormatSize(maxEnvelopeFile))
	}
	var d spool.Description
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%s is no envelope: %w", beside, err)
	}
	e, err := pendingEnvelope(&d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", beside, err)
	}
	return e, nil
}
